-- Lease due webhooks; those not delivered when the lease expires are due again.
-- Input: maximum number, lease ms. Output: the end of the lease, which also identifies it, then ids. Publishes nothing.
--- @include "lease"
return lease_due(keys.webhooks, ARGV[1], ARGV[2])
