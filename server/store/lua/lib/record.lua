-- Read a record (see `server.store.record`). To read all its fields takes Redis less time than to find the needed ones.
local function load(id)
  local values, record = redis.call('HGETALL', keys.task(id)), {}
  for i = 1, #values, 2 do record[values[i]] = values[i + 1] end
  return record
end

-- Whether a task waits: for its time, for a worker, or for its next attempt.
local function is_waiting(record)
  return record.s == 'queued' or record.s == 'scheduled' or record.s == 'retrying'
end

-- Whether a queued task waits for its type's limit or pause (see `throttle.lua`): it has no message until maintenance
-- releases it. A message that a worker has fetched before may still come back, or a second time.
local function is_throttled(id, queue) return redis.call('ZSCORE', keys.throttled_in(queue), id) ~= false end

local function is_running(record) return record.s == 'running' or record.s == 'canceling' end

-- Return the state of the attempt with this lease: 'run', 'stop' (the client canceled), or 'lost' (another attempt has
-- the lease, or the task has ended).
local function attempt_state(record, token)
  if record.w ~= token or not is_running(record) then return 'lost' end
  return record.s == 'canceling' and 'stop' or 'run'
end
