--- @include "batch"
--- @include "bytes"
--- @include "clock"
--- @include "followers"
--- @include "record"
--- @include "statistics"
--- @include "unique"
-- Make maintenance check the tasks that wait for a file of this one in its next round.
local function check_dependents(id, now)
  for _, dependent in ipairs(redis.call('SMEMBERS', keys.dependents(id))) do
    redis.call('ZADD', keys.due, 'NX', now, dependent)
  end
  redis.call('DEL', keys.dependents(id))
end

-- Remove a queued task from its queue, or from the throttled tasks.
local function remove_from_queue(id, record)
  if redis.call('ZREM', keys.queued(record.q), id) == 1 then
    remove_unfetched(id, record.q, record.p or 'normal', record.o)
  elseif redis.call('ZREM', keys.throttled_in(record.q), id) == 1 then
    for _, scope in ipairs({'', record.o, record.lb}) do redis.call('ZREM', keys.throttled(record.n, scope), id) end
  end
end

-- Record a task that was canceled while it waited, for the worker that asks for such tasks. `record.expired`: by its
-- deadline.
local function note_canceled(id, record)
  if record.signal_sent or redis.call('EXISTS', keys.cancel_listener) == 0 then return end
  local fields = {id, record.expired and '1' or '0', record.p or 'normal', record.n, record.q}
  redis.call('RPUSH', keys.canceled, table.concat(fields, ' '))
  redis.call('EXPIRE', keys.canceled, 60)
end

-- Remove the fields of earlier attempts from a record.
local function forget_attempts(id, record, to)
  local names = {}
  for _, name in ipairs(to == 'failed' and {'m', 'u', 'cr'} or {'m', 'u', 'cr', 'e', 'fl'}) do
    if record[name] then names[#names + 1] = name end
  end
  if #names > 0 then redis.call('HDEL', keys.task(id), unpack(names)) end
end

-- End a record, in the same way for success, failure and cancel; further fields and values may follow.
-- Publishes the status on the record's channel. Each command here runs for every task.
local function finish(id, record, to, now, ...)
  local runs = is_running(record)  -- else it waited since its last attempt
  local expires = now + (record.k and record.k * 1000 or config.result_ttl_ms)
  forget_attempts(id, record, to)
  if record.ca then redis.call('ZREM', keys.deadlines, id) end
  if runs then
    redis.call('ZREM', keys.leases, id)
    forget_message(record)
    count_run(record, to, now)
  else
    if record.sw then redis.call('ZREM', keys.start_deadlines, id) end
    if to == 'canceled' then note_canceled(id, record) end
  end
  if record.s == 'queued' then
    remove_from_queue(id, record)
  elseif not runs then
    if record.s == 'scheduled' then note_queued(id, now) end
    redis.call('ZREM', keys.due, id)
  end
  redis.call('ZADD', keys.expiry, expires, id)
  if record.it then redis.call('ZADD', keys.input_expiry, now + record.it * 1000, id) end
  if record.wh then redis.call('ZADD', keys.webhooks, now, id) end
  if record.uk then release_unique(id, record, now) end
  if redis.call('HINCRBY', keys.unfinished, record.o, -1) <= 0 then
    redis.call('HDEL', keys.unfinished, record.o)
  end
  for i = 1, select('#', ...), 2 do
    local name, value = select(i, ...)
    if name == 'bo' then count_bytes(record.o, tonumber(value)) end
  end
  count_end(record, to, now)
  if redis.call('EXISTS', keys.followers, keys.dependents(id)) > 0 then
    start_follower(id, now)
    check_dependents(id, now)
  end
  set_status(id, record, to, 'f', now, 'x', expires, ...)
  if record.ba then end_in_batch(record.ba, now) end
end

