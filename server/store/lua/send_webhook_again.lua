-- Make the webhook of an ended task due now, whatever came of it: id. 1, or 0 where it has none or has not ended.
local id = ARGV[1]
local webhook, finished = unpack(redis.call('HMGET', 't:' .. id, 'wh', 'f'))
if not webhook or not finished then return 0 end
redis.call('ZADD', 'webhooks', now_ms(), id)
return 1
