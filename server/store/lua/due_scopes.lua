-- Lease the scopes with throttled tasks that maintenance checks now.
-- Input: maximum number, ms after which they are due again, unless a check changes that.
-- Output: the time when they are due again, then `<type>:<scope>` of each. Publishes nothing.
--- @include "lease"
return lease_due(keys.throttled_scopes, ARGV[1], ARGV[2])
