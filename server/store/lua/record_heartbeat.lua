-- Note that a worker lives: worker, card, seconds of silence after which it counts as dead. 1 if it is to stop, else 0.
even_when_full()
local now, silence = now_ms() / 1000, tonumber(ARGV[3])
redis.call('SET', 'worker:' .. ARGV[1], ARGV[2], 'EX', silence)
redis.call('ZADD', 'workers', now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', 'workers', 0, now - silence)
return redis.call('DEL', 'stop:' .. ARGV[1])
