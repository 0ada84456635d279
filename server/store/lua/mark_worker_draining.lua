-- Refuse further claims of a stopping worker.
-- Input: worker, seconds after which it has ended. Output: none. Publishes nothing.
--- @include "allowed_when_full"
redis.call('SET', keys.draining(ARGV[1]), 1, 'EX', ARGV[2])
