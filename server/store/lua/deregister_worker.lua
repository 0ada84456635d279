-- Remove a stopped worker.
-- Input: worker. Output: none. Publishes nothing.
redis.call('DEL', keys.worker(ARGV[1]))
redis.call('ZREM', keys.workers, ARGV[1])
if redis.call('GET', keys.leader) == ARGV[1] then redis.call('DEL', keys.leader) end
