-- Record that a worker is alive.
-- Input: worker, its description (JSON), seconds of silence after which it counts as dead.
-- Output: 1 if it is to stop, else 0. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
local now, silence = now_ms() / 1000, tonumber(ARGV[3])
redis.call('SET', keys.worker(ARGV[1]), ARGV[2], 'EX', silence)
redis.call('ZADD', keys.workers, now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', keys.workers, 0, now - silence)
return redis.call('DEL', keys.stop(ARGV[1]))
