-- Indexes of all tasks by type and status: everyone's, for admins and limits, and each owner's.
-- A record moves from one status to another only through `set_status`, which keeps the indexes and tells listeners.

local function add_to_index(id, owner, task_type, status)
  redis.call('ZADD', keys.index('', task_type, status), 0, id)
  redis.call('ZADD', keys.index(owner, task_type, status), 0, id)
end

local function remove_from_index(id, owner, task_type, status)
  redis.call('ZREM', keys.index('', task_type, status), id)
  redis.call('ZREM', keys.index(owner, task_type, status), id)
end

-- More fields and values of the record may follow.
local function set_status(id, record, to, ...)
  redis.call('HSET', keys.task(id), 's', to, ...)
  remove_from_index(id, record.o, record.n, record.s)
  add_to_index(id, record.o, record.n, to)
  redis.call('PUBLISH', keys.task(id), to)
end

