-- Pause a queue or a task type. Tasks that run are not stopped.
-- Input: 'queue' or 'task', name, by whom. Output: 1, or 0 if it is paused already. Publishes nothing.
--- @include "clock"
--- @include "when_full"
allow_when_full()
return redis.call('HSETNX', keys.pauses, ARGV[1] .. ':' .. ARGV[2], string.format('%.0f', now_ms()) .. ' ' .. ARGV[3])
