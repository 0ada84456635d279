--- @include "earlier_attempts"
--- @include "finish"
--- @include "messages"
--- @include "retry"
-- Milliseconds that a task waits whose worker has died for the second time or more. Tasks that ran together wait for
-- different times: otherwise one that kills workers would take the same others with it each time (exponential backoff
-- with full jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A hash of the id is
-- random here; Redis's `math.random` returns the same numbers in each script.
local function backoff_ms(id, crashes)
  local share = tonumber(string.sub(redis.sha1hex(id .. crashes), 1, 8), 16) / 2 ^ 32
  return math.ceil(share * math.min(30, 2 ^ crashes) * 1000)
end

-- End an attempt that lost its lease: queue the task again, fail it after too many crashes, or cancel it if a cancel
-- was requested. `waits_because` is the error (JSON) of a task that waits first, if its worker has died again; without
-- it, none waits. Return the new status.
local function release(id, record, now, ending, crashes_to_add, max_crashes, error, waits_because)
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
  if waits_because and crashes > 1 and tonumber(crashes_to_add) > 0 then
    redis.call('HDEL', keys.task(id), 'fl')
    retry_at(now + backoff_ms(id, crashes), id, record, waits_because)
    return 'retrying'
  end
  redis.call('ZREM', keys.leases, id)
  redis.call('HDEL', keys.task(id), 'w', 'g', 'm')
  set_status(id, record, 'queued')
  enqueue(id, record.q, record.p, record.o, now)
  return 'queued'
end

