-- Store a schedule: name, definition, timing (what its ticks follow from), next tick ms (0: it is paused), owner,
-- the number of schedules that the owner may have and whether it may only replace its own (0: any number, anyone's).
-- A tick that is due, and has not fired yet, stays where the timing does. Answers 1 where the schedule is new,
-- -1 where the owner has too many, -2 where the schedule is another owner's.
local key = 'schedule:' .. ARGV[1]
local owner, limit = ARGV[5], tonumber(ARGV[6])
local before = redis.call('HGET', key, 'owner')
if before ~= owner then
  if limit > 0 and before then return -2 end
  if limit > 0 and redis.call('SCARD', 'schedules:' .. owner) >= limit then return -1 end
  if before then redis.call('SREM', 'schedules:' .. before, ARGV[1]) end
  redis.call('SADD', 'schedules:' .. owner, ARGV[1])
end
local same = redis.call('HGET', key, 'timing') == ARGV[3]
redis.call('HSET', key, 'definition', ARGV[2], 'timing', ARGV[3], 'owner', owner)
redis.call('HDEL', key, 'error')
if ARGV[4] == '0' then
  redis.call('ZREM', 'ticks', ARGV[1])
elseif not same or not redis.call('ZSCORE', 'ticks', ARGV[1]) then
  redis.call('ZADD', 'ticks', ARGV[4], ARGV[1])
end
return redis.call('SADD', 'schedules', ARGV[1])
