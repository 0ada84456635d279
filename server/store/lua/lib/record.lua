-- Read the fields of a record that most scripts need, and further named ones (see `server.store.record`).
local function load(id, ...)
  local names = {'o', 'n', 's', 'q', 'p', 'w', 'k', 'b', 'm', 'wh', 'uk', 'ba', 'it', 'lb', ...}
  local values = redis.call('HMGET', keys.task(id), unpack(names))
  local record = {}
  for i, name in ipairs(names) do record[name] = values[i] or nil end
  return record
end

