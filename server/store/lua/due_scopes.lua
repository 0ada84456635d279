-- Lease the scopes with tasks over a limit that maintenance checks now. An earlier release had them in a set.
-- Input: maximum number, ms after which they are due again, unless a check changes that.
-- Output: the time when they are due again, then `<type>:<scope>` of each. Publishes nothing.
--- @include "lease"
for _, name in ipairs(redis.call('SPOP', keys.throttles, ARGV[1])) do redis.call('ZADD', keys.throttled_scopes, 0, name) end
return lease_due(keys.throttled_scopes, ARGV[1], ARGV[2])
