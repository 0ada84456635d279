-- Decide whether a periodic job is due.
-- Input: job, seconds until the next time. Output: 1 or 0. Publishes nothing.
--- @include "allowed_when_full"
return redis.call('SET', keys.slot(ARGV[1]), 1, 'NX', 'EX', ARGV[2]) and 1 or 0
