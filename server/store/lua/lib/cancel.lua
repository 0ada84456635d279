--- @include "finish"
--- @include "record"
-- Cancel a waiting task, or ask a running one to stop. Return the new status, or nil if this changes nothing.
-- Publishes the status.
local function cancel(id, record, now)
  if is_waiting(record) then
    finish(id, record, 'canceled', now)
    return 'canceled'
  end
  if record.s == 'running' then
    redis.call('HSET', keys.task(id), 'cr', now)
    set_status(id, record, 'canceling')
    return 'canceling'
  end
end

