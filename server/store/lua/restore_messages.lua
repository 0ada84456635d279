-- Return messages that no worker works on to the front of their lists, in their order. A rejected message of a user's
-- own Celery task goes behind the others. A message whose task runs or has ended is dropped instead: an attempt that
-- loses its lease gets a new message, so a task never has two.
-- Input: maximum number (with tags: "front" or "behind"), age in ms of a message whose task is still queued, age of a
-- user's own Celery message, then delivery tags; without tags: those that no worker has renewed for that long.
-- Output: the number of returned messages. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "messages"
--- @include "record"
local limit, queued_age, other_age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, restored = now_ms(), 0

-- As `server.celery_app.message.priority_of`: Celery's ten priorities on Redis, 0 being the highest.
local function priority_of(message)
  local number = tonumber(message.properties.priority) or 5
  return number < 4 and 'high' or number > 6 and 'low' or 'normal'
end

local function put_back(stored)
  local message, exchange, queue = unpack(cjson.decode(stored))
  -- The original text: if it were decoded and encoded again, an empty list would become an object.
  local text = string.sub(stored, 2, -(#cjson.encode(exchange) + #cjson.encode(queue) + 4))
  if not message.properties.delivery_info.redelivered then
    text = string.gsub(text, '"delivery_info"%s*:%s*{', '%0"redelivered": true, ', 1)
  end
  redis.call(ARGV[1] == 'behind' and 'LPUSH' or 'RPUSH', LISTS[priority_of(message)](queue), text)
  notify(queue)
  restored = restored + 1
end

local function restore_task(id)
  local status, queue, priority = unpack(redis.call('HMGET', keys.task(id), 's', 'q', 'p'))
  if status ~= 'queued' or is_throttled(id, queue) then return end
  wait_again(id, queue, priority or 'normal', turn_of(id, queue), now)
  restored = restored + 1
end

local function restore(tag, age)
  local id = string.match(tag, '^(.+):%x+$')  -- kombu's own tags have no colon
  if not id and age and age < other_age then return end
  local stored = redis.call('HGET', keys.unacked, tag)
  redis.call('ZREM', keys.unacked_index, tag)
  redis.call('HDEL', keys.unacked, tag)
  if stored and id then restore_task(id) elseif stored then put_back(stored) end
end

if #ARGV > 3 then
  for i = #ARGV, 4, -1 do restore(ARGV[i]) end
else
  local horizon = (now - queued_age) / 1000
  local stale = redis.call('ZRANGEBYSCORE', keys.unacked_index, '-inf', horizon, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = #stale - 1, 1, -2 do restore(stale[i], now - stale[i + 1] * 1000) end
end
return restored
