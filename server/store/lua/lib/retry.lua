--- @include "indexes"
-- An attempt has ended without success, with this error (JSON): another one begins at this time.
local function retry_at(due, id, record, error)
  redis.call('HSET', keys.task(id), 'u', due, 'e', error)
  redis.call('ZREM', keys.leases, id)
  redis.call('HDEL', keys.task(id), 'w', 'g', 'm')
  redis.call('ZADD', keys.due, due, id)
  set_status(id, record, 'retrying')
end

