-- Elect the worker that runs maintenance, and decide whether leases may be checked. Every worker calls this every
-- second: a period without any call is an outage of this Redis, in which nobody could renew, so that leases need a
-- grace period.
-- Input: worker, term ms, outage ms, grace ms.
-- Output: nil if another worker is the leader, else the ms for which leases must not be checked. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
local now = now_ms()
local last_election = redis.call('GETSET', keys.last_election, now)
if last_election and now - last_election > tonumber(ARGV[3]) then
  redis.call('SET', keys.grace, 1, 'PX', ARGV[4])
  redis.call('SET', keys.resumed_at, now)  -- for schedules: the runs missed before are merged into one
end
local elected = redis.call('GET', keys.leader)
if elected and elected ~= ARGV[1] then return false end
redis.call('SET', keys.leader, ARGV[1], 'PX', ARGV[2])
return math.max(0, redis.call('PTTL', keys.grace))
