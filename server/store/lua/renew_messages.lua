-- Renew messages that a worker holds: tags.
even_when_full()
local now = now_ms() / 1000
for _, tag in ipairs(ARGV) do redis.call('ZADD', 'unacked_index', 'XX', now, tag) end
