-- How fast queues move: the slots of the workers that live, how many runs there are, and each kind's recent run time
-- in ms, as names and values.
local slots = 0
for _, name in ipairs(redis.call('ZRANGE', 'workers', 0, -1)) do
  local card = redis.call('GET', 'worker:' .. name)
  if card then slots = slots + cjson.decode(card).concurrency end
end
return {slots, redis.call('ZCARD', 'leases'), redis.call('HGETALL', 'recent')}
