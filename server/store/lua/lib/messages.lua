-- Messages in the broker's lists. The message of our own task is its id; a user's own Celery message is JSON.

-- The list of a queue for each priority, and the first score of its tasks in `keys.queued`.
local LISTS = {high = keys.high_list, normal = keys.normal_list, low = keys.low_list}
local BASES = {high = 0, normal = 1e13, low = 2e13}

local function task_of(message)
  return #message == 36 and string.sub(message, 1, 1) ~= '{' and message or nil
end

-- Wake one worker that waits for a message of this queue. One token is enough: the worker that fetches wakes the next.
local function notify(queue)
  if redis.call('EXISTS', keys.bell(queue)) == 0 then
    redis.call('LPUSH', keys.bell(queue), 1)
  end
end

-- Add tasks to the queued ones, and their messages to the queue, in this order.
local function enqueue_all(ids, queue, priority, now)
  local score, places = BASES[priority] + now, {}
  for _, id in ipairs(ids) do
    places[#places + 1] = score
    places[#places + 1] = id
  end
  redis.call('ZADD', keys.queued(queue), unpack(places))
  if config.external_broker then  -- it gets the messages next, see `server.celery_app.external_broker`
    for _, id in ipairs(ids) do redis.call('ZADD', keys.unpublished, now, id) end
  else
    redis.call('LPUSH', LISTS[priority](queue), unpack(ids))
    notify(queue)
  end
end

local function enqueue(id, queue, priority, now)
  enqueue_all({id}, queue, priority or 'normal', now)
end

-- Queue a task again that was next in the queue before: it is next again, and has waited since `score`.
local function enqueue_first(id, queue, priority, score, now)
  redis.call('ZADD', keys.queued(queue), score, id)
  if config.external_broker then
    redis.call('ZADD', keys.unpublished, now, id)
  else
    redis.call('RPUSH', LISTS[priority or 'normal'](queue), id)
    notify(queue)
  end
end

-- Drop the message that a worker holds for a record.
local function forget_message(record)
  if record.m then
    redis.call('ZREM', keys.unacked_index, record.m)
    redis.call('HDEL', keys.unacked, record.m)
  end
end

