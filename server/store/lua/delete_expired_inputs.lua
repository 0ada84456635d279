-- Delete the inputs of ended tasks whose `input_ttl` is over. Their uploads are deleted by the caller, or with the
-- record.
-- Input: maximum number. Output: the ids of these tasks; fewer than the maximum mean that none is left. Publishes
-- nothing.
--- @include "allowed_when_full"
--- @include "bytes"
--- @include "clock"
--- @include "record"
local ids = redis.call('ZRANGEBYSCORE', keys.input_expiry, 0, now_ms(), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZREM', keys.input_expiry, id)
  local record = load(id)
  if record.s then
    redis.call('HDEL', keys.task(id), 'i', 'by')
    redis.call('HSET', keys.task(id), 'ix', 1)
    redis.call('UNLINK', keys.input(id))
    count_bytes(record.o, -(record.by or 0))
  end
end
return ids
