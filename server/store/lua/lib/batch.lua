-- The batch of a task (its field 'ba') counts the tasks that have not ended, in 'left': the step that ends the last of
-- them ends the batch, whatever its end is.

-- End a batch: its webhook is due, and it is deleted some time later. Publishes `ended` on the batch's channel.
local function end_batch(batch, now)
  local life, webhook = unpack(redis.call('HMGET', keys.batch(batch), 'life', 'wh'))
  redis.call('HSET', keys.batch(batch), 'f', now)
  redis.call('EXPIRE', keys.batch(batch), life)
  if webhook then redis.call('ZADD', keys.webhooks, now, batch) end
  redis.call('PUBLISH', keys.task(batch), 'ended')
end

local function end_in_batch(batch, now)
  local left = redis.call('HINCRBY', keys.batch(batch), 'left', -1)
  if left == 0 then end_batch(batch, now) end
  if left < 0 then redis.call('HDEL', keys.batch(batch), 'left') end  -- its record is gone
end

