-- Renew the messages that a worker has fetched.
-- Input: delivery tags. Output: none. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
local now = now_ms() / 1000
for _, tag in ipairs(ARGV) do redis.call('ZADD', keys.unacked_index, 'XX', now, tag) end
