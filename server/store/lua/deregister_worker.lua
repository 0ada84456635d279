-- A worker has stopped: worker.
redis.call('DEL', 'worker:' .. ARGV[1])
redis.call('ZREM', 'workers', ARGV[1])
if redis.call('GET', 'leader') == ARGV[1] then redis.call('DEL', 'leader') end
