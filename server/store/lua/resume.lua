-- Resume a queue or a task type, and wake a worker for a queue.
-- Input: 'queue' or 'task', name. Output: 1, or 0 if it is not paused. Publishes nothing.
--- @include "allowed_when_full"
--- @include "messages"
local resumed = redis.call('HDEL', keys.pauses, ARGV[1] .. ':' .. ARGV[2])
if ARGV[1] == 'queue' then notify(ARGV[2]) end
return resumed
