-- Read the speed of the queues.
-- Input: none. Output: {slots of the living workers, running tasks, {type, recent run time in ms, …}}.
-- Publishes nothing.
local slots = 0
for _, name in ipairs(redis.call('ZRANGE', keys.workers, 0, -1)) do
  local card = redis.call('GET', keys.worker(name))
  if card then slots = slots + cjson.decode(card).concurrency end
end
return {slots, redis.call('ZCARD', keys.leases), redis.call('HGETALL', keys.recent)}
