-- Forget a finished record: id. Answers 1 where it had files or uploads: they are noted as to be collected.
even_when_full()
local id = ARGV[1]
redis.call('ZREM', 'expiry', id)
redis.call('ZREM', 'webhooks', id)
local record = load(id, 'z', 'up', 't')
if not record.s then return 0 end
redis.call('ZREM', index_key(record.o, record.n, record.s), id)
if record.t then
  for _, tag in ipairs(cjson.decode(record.t)) do redis.call('ZREM', tag_key(record.o, tag), id) end
end
redis.call('DEL', 't:' .. id, 'events:' .. id, 'memo:' .. id, 'dependents:' .. id)
redis.call('PUBLISH', 't:' .. id, 'dropped')
if not record.z and not record.up then return 0 end
redis.call('ZADD', 'uncollected', now_ms(), id)
return 1
