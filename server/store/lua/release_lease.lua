-- End the attempt of the worker with this lease, and queue the task again.
-- Input: id, lease token, crashes to add, maximum crashes, error (JSON) of a task that reaches it.
-- Output: the task that it ran (a later one of its burst) and its new status, or nil without such an attempt.
-- Publishes the status.
--- @include "allowed_when_full"
--- @include "burst"
--- @include "record"
--- @include "release"
local token = ARGV[2]
local id = current_of(ARGV[1], token)
end_burst(token)
local record = load(id)
if attempt_state(record, token) == 'lost' then return false end
return {id, release(id, record, now_ms(), ARGV[3] == '0' and 'handed_back' or 'crashed', ARGV[3], ARGV[4], ARGV[5])}
