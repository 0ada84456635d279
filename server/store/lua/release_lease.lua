-- End the attempt of the worker that holds this lease, and queue the task again.
-- Input: id, lease token, crashes to add, maximum crashes, error (JSON) for that many.
-- Output: the new status, or nil if there is no such attempt. Publishes the status.
--- @include "record"
--- @include "release"
--- @include "when_full"
allow_when_full()
local record = load(ARGV[1])
if record.w ~= ARGV[2] or (record.s ~= 'running' and record.s ~= 'canceling') then return false end
return release(ARGV[1], record, now_ms(), ARGV[3] == '0' and 'handed_back' or 'crashed', ARGV[3], ARGV[4], ARGV[5])
