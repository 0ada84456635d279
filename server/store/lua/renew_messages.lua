-- Renew the messages that a worker holds.
-- Input: delivery tags. Output: none. Publishes nothing.
--- @include "clock"
--- @include "when_full"
allow_when_full()
local now = now_ms() / 1000
for _, tag in ipairs(ARGV) do redis.call('ZADD', keys.unacked_index, 'XX', now, tag) end
