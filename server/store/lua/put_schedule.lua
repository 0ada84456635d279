-- Store a schedule. A due run that has not fired is kept if the timing is unchanged.
-- Input: name, definition, timing (it determines the fire times), next fire time in ms (0: paused), owner, maximum
-- number of the owner's schedules, who may then replace only their own (0: no limit, and any schedule).
-- Output: 1 if the schedule is new, else 0; -1 if the owner has too many, -2 if it is another owner's.
-- Publishes nothing.
local key = keys.schedule(ARGV[1])
local owner, limit = ARGV[5], tonumber(ARGV[6])
local before = redis.call('HGET', key, 'owner')
if before ~= owner then
  if limit > 0 and before then return -2 end
  if limit > 0 and redis.call('SCARD', keys.schedules_of(owner)) >= limit then return -1 end
  if before then redis.call('SREM', keys.schedules_of(before), ARGV[1]) end
  redis.call('SADD', keys.schedules_of(owner), ARGV[1])
end
local same = redis.call('HGET', key, 'timing') == ARGV[3]
redis.call('HSET', key, 'definition', ARGV[2], 'timing', ARGV[3], 'owner', owner)
redis.call('HDEL', key, 'error')
if ARGV[4] == '0' then
  redis.call('ZREM', keys.fire_times, ARGV[1])
elseif not same or not redis.call('ZSCORE', keys.fire_times, ARGV[1]) then
  redis.call('ZADD', keys.fire_times, ARGV[4], ARGV[1])
end
return redis.call('SADD', keys.schedules, ARGV[1])
