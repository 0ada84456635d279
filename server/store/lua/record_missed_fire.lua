-- A tick could not fire: schedule, tick ms, next tick ms (0: none; the same tick: it is tried again), error (JSON).
even_when_full()
local name = ARGV[1]
if tonumber(redis.call('ZSCORE', 'ticks', name) or 0) ~= tonumber(ARGV[2]) then return end
set_tick(name, tonumber(ARGV[3]))
redis.call('HSET', 'schedule:' .. name, 'error', ARGV[4])
