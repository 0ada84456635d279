-- Store a schedule: name, definition, timing (what its ticks follow from), next tick ms (0: it is paused).
-- A tick that is due, and has not fired yet, stays where the timing does. Answers 1 where the schedule is new.
local key = 'schedule:' .. ARGV[1]
local same = redis.call('HGET', key, 'timing') == ARGV[3]
redis.call('HSET', key, 'definition', ARGV[2], 'timing', ARGV[3])
redis.call('HDEL', key, 'error')
if ARGV[4] == '0' then
  redis.call('ZREM', 'ticks', ARGV[1])
elseif not same or not redis.call('ZSCORE', 'ticks', ARGV[1]) then
  redis.call('ZADD', 'ticks', ARGV[4], ARGV[1])
end
return redis.call('SADD', 'schedules', ARGV[1])
