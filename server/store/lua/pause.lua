-- Pause a queue or a task type. Tasks that run are not stopped.
-- Input: 'queue' or 'task', name, by whom. Output: 1, or 0 if it is paused already. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
return redis.call('HSETNX', keys.pauses, ARGV[1] .. ':' .. ARGV[2], string.format('%.0f', now_ms()) .. ' ' .. ARGV[3])
