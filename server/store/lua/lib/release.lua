--- @include "earlier_attempts"
--- @include "finish"
--- @include "messages"
-- End an attempt that lost its lease: queue the task again, fail it after too many crashes, or cancel it if a cancel
-- was requested. Return the new status.
local function release(id, record, now, ending, crashes_to_add, max_crashes, error)
  local crashes = redis.call('HINCRBY', keys.task(id), 'c', crashes_to_add)
  if record.s == 'canceling' then
    finish(id, record, 'canceled', now)
    return 'canceled'
  end
  if crashes >= tonumber(max_crashes) then
    finish(id, record, 'failed', now, 'e', error)
    return 'failed'
  end
  note_attempt(id, record, now, ending, '')
  forget_message(record)
  redis.call('ZREM', keys.leases, id)
  redis.call('HDEL', keys.task(id), 'w', 'g', 'm')
  set_status(id, record, 'queued')
  enqueue(id, record.q, record.p, record.o, now)
  return 'queued'
end

