-- Put messages that nobody works on back into their lists, next in turn, the first of them first: most, age ms of a
-- message whose task is still queued, age ms of one that is no task's (a user's own Celery message), then tags; no
-- tags: those that nobody has renewed for so long. Answers how many went back. A message whose task runs or has ended
-- is dropped instead: a run that loses its lease gets a new message, so one run never has two.
even_when_full()
local most, queued_age, other_age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, restored = now_ms(), 0

local function put_back(stored)
  local message, exchange, queue = unpack(cjson.decode(stored))
  -- The text as it was: decoded and encoded again, an empty list would be an object.
  local text = string.sub(stored, 2, -(#cjson.encode(exchange) + #cjson.encode(queue) + 4))
  local rank = math.min(2, math.max(0, tonumber(message.properties.priority) or 0))
  -- kombu's name of a queue's list of one priority.
  redis.call('RPUSH', rank > 0 and queue .. '\6\22' .. rank or queue, text)
  ring(queue)
  restored = restored + 1
end

local function status_of(tag)
  local id = string.match(tag, '^(.+):%x+$')  -- kombu's own tags have no colon
  return id and (redis.call('HGET', 't:' .. id, 's') or 'gone')
end

local function restore(tag, age)
  local stored, status = redis.call('HGET', 'unacked', tag), status_of(tag)
  if not status and age and age < other_age then return end
  redis.call('ZREM', 'unacked_index', tag)
  redis.call('HDEL', 'unacked', tag)
  if stored and (not status or status == 'queued') then put_back(stored) end
end

if #ARGV > 3 then
  for i = #ARGV, 4, -1 do restore(ARGV[i]) end
else
  local horizon = (now - queued_age) / 1000
  local stale = redis.call('ZRANGEBYSCORE', 'unacked_index', '-inf', horizon, 'WITHSCORES', 'LIMIT', 0, most)
  for i = #stale - 1, 1, -2 do restore(stale[i], now - stale[i + 1] * 1000) end
end
return restored
