-- Lease what is due; what is not done when the lease ends is due again.
-- Input: most, lease ms. Output: the end of the lease, which is also its proof, then ids. Publishes nothing.
--- @include "lease"
return lease_due(keys.webhooks, ARGV[1], ARGV[2])
