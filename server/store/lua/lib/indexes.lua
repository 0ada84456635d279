-- Indexes of all tasks by type and status: of all owners, for admins and limits, and of each owner.
-- Only `set_status` changes a record's status; it updates the indexes and publishes the change, also to its batch.
-- Running tasks with a scope of their own (see `throttle.lua`) are also indexed by it.

-- Scores and ids may follow.
local function add_to_index(id, owner, task_type, status, ...)
  redis.call('ZADD', keys.index('', task_type, status), 0, id, ...)
  redis.call('ZADD', keys.index(owner, task_type, status), 0, id, ...)
end

local function remove_from_index(id, owner, task_type, status)
  redis.call('ZREM', keys.index('', task_type, status), id)
  redis.call('ZREM', keys.index(owner, task_type, status), id)
end

-- A task that no longer waits or runs may free a slot for others of its scope: maintenance checks them next.
local function index_scope(id, record, to)
  if to == 'running' then
    redis.call('ZADD', keys.index(record.lb, record.n, 'running'), 0, id)
  elseif to ~= 'canceling' then
    redis.call('ZREM', keys.index(record.lb, record.n, 'running'), id)
    redis.call('ZADD', keys.throttled_scopes, 'XX', 0, record.n .. ':' .. record.lb)
  end
end

-- Further fields and values of the record may follow.
local function set_status(id, record, to, ...)
  redis.call('HSET', keys.task(id), 's', to, ...)
  remove_from_index(id, record.o, record.n, record.s)
  add_to_index(id, record.o, record.n, to)
  if record.lb then index_scope(id, record, to) end
  redis.call('PUBLISH', keys.task(id), to)
  if record.ba then redis.call('PUBLISH', keys.task(record.ba), 'counts') end
end

