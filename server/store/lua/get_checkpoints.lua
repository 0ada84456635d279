-- What runs of a task have noted: id. A task that is a retry begins with what the old one has noted.
even_when_full()
local id = ARGV[1]
if redis.call('EXISTS', 'memo:' .. id) == 0 then
  local old = redis.call('HGET', 't:' .. id, 'ro')
  if old then redis.call('COPY', 'memo:' .. old, 'memo:' .. id) end
end
return redis.call('HGETALL', 'memo:' .. id)
