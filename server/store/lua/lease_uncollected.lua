-- Lease deleted tasks whose files are still stored; those not finished when the lease expires are due again.
-- Input: maximum number, lease ms. Output: the end of the lease, which also identifies it, then ids. Publishes nothing.
--- @include "lease"
return lease_due(keys.uncollected, ARGV[1], ARGV[2])
