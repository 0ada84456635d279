-- Make the webhook of an ended task or batch due now, whether it was delivered or not.
-- Input: id. Output: 1, or 0 where it has no webhook, has not ended or is gone. Publishes nothing.
--- @include "clock"
local id = ARGV[1]
local function ended_with_webhook(key)
  local webhook, finished = unpack(redis.call('HMGET', key, 'wh', 'f'))
  return webhook and finished
end

if not ended_with_webhook(keys.task(id)) and not ended_with_webhook(keys.batch(id)) then return 0 end
redis.call('ZADD', keys.webhooks, now_ms(), id)
return 1
