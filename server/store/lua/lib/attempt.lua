--- @include "bytes"
--- @include "finish"
--- @include "indexes"
--- @include "record"
--- @include "statistics"
--- @include "values"
-- Cancel a task that has not started within `start_within`. Return whether it was.
local function refuse_late(id, record, now)
  local by = record.sw and redis.call('ZSCORE', keys.start_deadlines, id)
  if not by or now < tonumber(by) then return false end
  record.expired = true
  finish(id, record, 'canceled', now, 'e', config.not_started)
  return true
end

-- Drop the output of the previous attempt. Its numbers are not used again, so that a reader who has some of them gets
-- every item of the new attempt.
local function clear_output(id, record)
  if not record.on then return end
  redis.call('UNLINK', keys.output(id))
  redis.call('HSET', keys.task(id), 'ob', record.on, 'oy', 0)
  count_bytes(record.o, -tonumber(record.oy))
end

-- Start an attempt of a queued task, which waits for no turn any more, under a lease. Publishes `running`.
local function start_attempt(id, record, token, now, lease_ms)
  record.d = (record.d or 0) + 1
  if record.b then
    redis.call('HDEL', keys.task(id), 'g')
    clear_output(id, record)
  end
  local score = redis.call('ZSCORE', keys.queued(record.q), id)
  if score then count_start(now, record, score % 1e13) end
  if record.sw then redis.call('ZREM', keys.start_deadlines, id) end
  if record.tu then redis.call('HDEL', keys.task(id), 'tu') end
  redis.call('ZREM', keys.queued(record.q), id)
  redis.call('ZADD', keys.leases, now + tonumber(lease_ms), id)
  set_status(id, record, 'running', 'w', token, 'b', now, 'd', record.d)
end

-- The data of an attempt: id, type, owner, input, deliveries, retries, request id, traceparent, tracestate,
-- scope of its limits (see `throttle.lua`).
local function attempt_of(id, record)
  local input = record.i or redis.call('GET', keys.input(id)) or '{}'
  local origin = {record.h or '', record.tp or '', record.ts or '', record.lb or ''}
  return {id, record.n, record.o, input, tostring(record.d), record.a or '0', unpack(origin)}
end

