-- Delete expired records.
-- Input: maximum number. Output: their number; below the maximum means that none is left. Publishes `dropped` for each.
--- @include "allowed_when_full"
--- @include "delete"
local ids = redis.call('ZRANGEBYSCORE', keys.expiry, 0, now_ms(), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do delete(id) end
return #ids
