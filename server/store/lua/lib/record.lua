-- Read a record (see `server.store.record`). To read all its fields takes Redis less time than to find the needed ones.
local function load(id)
  local values, record = redis.call('HGETALL', keys.task(id)), {}
  for i = 1, #values, 2 do record[values[i]] = values[i + 1] end
  return record
end
