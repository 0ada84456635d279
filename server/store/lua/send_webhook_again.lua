-- Make the webhook of an ended task due now, whatever came of it.
-- Input: id. Output: 1, or 0 where the task has no webhook, has not ended or is gone. Publishes nothing.
--- @include "clock"
local id = ARGV[1]
local webhook, finished = unpack(redis.call('HMGET', keys.task(id), 'wh', 'f'))
if not webhook or not finished then return 0 end
redis.call('ZADD', keys.webhooks, now_ms(), id)
return 1
