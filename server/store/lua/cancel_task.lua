-- Cancel a waiting task, or ask a running one to stop.
-- Input: id, '1' if Celery's worker tells of the cancel itself.
-- Output: the new status, or nil if this call has changed nothing. Publishes the status.
--- @include "allowed_when_full"
--- @include "finish"
--- @include "record"
local id = ARGV[1]
local record = load(id)
if is_waiting(record) then
  record.told = ARGV[2] == '1'
  finish(id, record, 'canceled', now_ms())
  return 'canceled'
end
if record.s == 'running' then
  redis.call('HSET', keys.task(id), 'cr', now_ms())
  set_status(id, record, 'canceling')
  return 'canceling'
end
