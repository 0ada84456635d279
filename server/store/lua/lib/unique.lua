--- @include "ids"
-- One task of an owner and a type has a key: that of `unique`, or of `debounce`. The key in Redis
-- holds the task's id until the task ends, or until `uf` ms after its submit if that is later.
local ENDED = {succeeded = true, failed = true, canceled = true}

-- The task that has a key, and its status (nil: its record is gone). A key never outlives a lost record that nobody
-- could end any more.
local function task_with_key(key)
  local id = redis.call('GET', key)
  local status = id and redis.call('HGET', keys.task(id), 's') or nil
  if id and (status and not ENDED[status] or redis.call('PTTL', key) > 0) then return id, status end
end

-- A task with a key has ended.
local function release_unique(id, record, now)
  local key = keys.unique(record.o, record.n, record.uk)
  if redis.call('GET', key) ~= id then return end
  if record.uf and submitted_ms(id) + record.uf > now then
    redis.call('PEXPIREAT', key, submitted_ms(id) + record.uf)
  else
    redis.call('DEL', key)
  end
end
