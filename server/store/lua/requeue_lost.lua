-- Queue tasks again that a worker has fetched, but whose message no worker has, and replace messages that are missing
-- in the queue's lists (purged by Celery's tools). Give a turn to queued tasks that have none, so that a fetch finds
-- them.
-- Input: queue, ms for which a task may lack a message, maximum number. Output: ids. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "messages"
--- @include "record"
local queue, now, limit, requeued = ARGV[1], now_ms(), tonumber(ARGV[3]), {}
local queued, turns = keys.queued(queue), keys.turns(queue)

local function is_new(id)
  return (tonumber(redis.call('ZSCORE', queued, id)) or 0) % 1e13 > now - tonumber(ARGV[2])
end

local function is_delivered(record)
  return record.m and redis.call('HEXISTS', keys.unacked, record.m) == 1
end

-- Those that wait for their turn are not fetched; the others are as many as the workers have slots.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', turns, '-inf', '(0')) do
  local record = load(id)
  if record.s ~= 'queued' then
    redis.call('ZREM', turns, id)
    redis.call('ZREM', queued, id)
  elseif #requeued < limit and not is_new(id) and not is_delivered(record) then
    wait_again(id, queue, record.p or 'normal', turn_of(id, queue), now)
    requeued[#requeued + 1] = id
  end
end

for priority, band in pairs(BANDS) do
  local list, until_turn = LISTS[priority](queue), '(' .. band + 1e12
  local missing = redis.call('ZCOUNT', turns, band, until_turn) - redis.call('LLEN', list)
  if missing > 0 then
    local ids = redis.call('ZRANGEBYSCORE', turns, band, until_turn, 'LIMIT', 0, math.min(missing, limit))
    local messages = {}
    for i, id in ipairs(ids) do
      messages[#ids - i + 1] = message_of(id, queue, now)  -- the first turn's is fetched first
      requeued[#requeued + 1] = id
    end
    redis.call('RPUSH', list, unpack(messages))
    notify(queue)
  end
end

if redis.call('ZCARD', queued) > redis.call('ZCARD', turns) then
  for _, id in ipairs(redis.call('ZRANGE', queued, 0, 999)) do
    if not turn_of(id, queue) and not is_new(id) then
      local record = load(id)
      local priority = record.p or 'normal'
      if record.s == 'queued' then
        redis.call('ZADD', turns, next_turns('queue:' .. queue, priority, record.o, 1), id)
      else
        redis.call('ZREM', queued, id)
      end
    end
  end
end
return requeued
