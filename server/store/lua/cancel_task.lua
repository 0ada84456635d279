-- Cancel a waiting task, or ask a running one to stop.
-- Input: id, '1' if Celery's worker sends the signal of the cancel itself.
-- Output: the new status, or nil if this call has changed nothing. Publishes the status.
--- @include "allowed_when_full"
--- @include "cancel"
--- @include "clock"
--- @include "record"
local record = load(ARGV[1])
record.signal_sent = ARGV[2] == '1'
return cancel(ARGV[1], record, now_ms())
