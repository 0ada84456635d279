-- Whose turn it is to sweep, and whether leases may be judged: worker, term ms, outage ms, come back ms.
-- Answers nothing, or how many ms no lease is to be judged. Every worker is here every second: a time in which nobody
-- was is an outage of this Redis, in which nobody could renew, and after which all need the time to come back.
even_when_full()
local now = now_ms()
local seen = redis.call('GETSET', 'seen', now)
if seen and now - seen > tonumber(ARGV[3]) then
  redis.call('SET', 'quiet', 1, 'PX', ARGV[4])
  redis.call('SET', 'back', now)  -- for schedules: the ticks before are one
end
local elected = redis.call('GET', 'leader')
if elected and elected ~= ARGV[1] then return false end
redis.call('SET', 'leader', ARGV[1], 'PX', ARGV[2])
return math.max(0, redis.call('PTTL', 'quiet'))
