-- A worker that is stopping claims nothing more.
-- Input: worker, seconds after which it is gone. Output: none. Publishes nothing.
--- @include "when_full"
allow_when_full()
redis.call('SET', keys.draining(ARGV[1]), 1, 'EX', ARGV[2])
