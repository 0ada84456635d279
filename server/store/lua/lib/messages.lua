--- @include "turns"
-- Messages in the broker's lists. A user's own Celery message has a body. For each waiting task of ours there is a
-- message with the time when one of them was queued, so that the length and the age are right for the tools that read
-- them: a fetch that finds one takes the task whose turn it is.

-- The list of a queue for each priority, and the first score of its tasks in `keys.queued`.
local LISTS = {high = keys.high_list, normal = keys.normal_list, low = keys.low_list}
local BASES = {high = 0, normal = 1e13, low = 2e13}

local OURS = '{"properties":{"published_at":'

local function message_from(ms) return string.format(OURS .. '%.3f}}', ms / 1000) end

-- The message of a task that may have been queued before.
local function message_of(id, queue, now)
  return message_from((redis.call('ZSCORE', keys.queued(queue), id) or now) % 1e13)
end

-- In release 0.1.0 the message of a task was its id.
local function is_ours(message)
  return string.sub(message, 1, #OURS) == OURS or #message == 36
end

-- Wake one worker that waits for a message of this queue. One token is enough: the worker that fetches wakes the next.
local function notify(queue)
  if redis.call('EXISTS', keys.notify_list(queue)) == 0 then
    redis.call('LPUSH', keys.notify_list(queue), 1)
  end
end

-- Add an owner's tasks to the queued ones, and their messages to the queue, in this order.
local function enqueue_all(ids, queue, priority, owner, now)
  local score, scored, turns, messages = BASES[priority] + now, {}, {}, {}
  local message = message_from(now)
  local turn, distance = next_turns('queue:' .. queue, priority, owner, #ids)
  for i, id in ipairs(ids) do
    scored[2 * i - 1], scored[2 * i] = score, id
    turns[2 * i - 1], turns[2 * i] = turn + (i - 1) * distance, id
    messages[i] = message
  end
  redis.call('ZADD', keys.queued(queue), unpack(scored))
  redis.call('ZADD', keys.turns(queue), unpack(turns))
  if config.external_broker then  -- it gets the messages next, see `server.celery_app.external_broker`
    for _, id in ipairs(ids) do redis.call('ZADD', keys.unpublished, now, id) end
  else
    redis.call('LPUSH', LISTS[priority](queue), unpack(messages))
    notify(queue)
  end
end

local function enqueue(id, queue, priority, owner, now)
  enqueue_all({id}, queue, priority or 'normal', owner, now)
end

-- Let a queued task that a worker has fetched, or that was throttled, wait for its old turn.
local function wait_again(id, queue, priority, turn, now)
  local next_turn = turn or redis.call('HGET', keys.turn('queue:' .. queue), priority) or BANDS[priority]
  redis.call('ZADD', keys.turns(queue), next_turn, id)
  if config.external_broker then
    redis.call('ZADD', keys.unpublished, now, id)
  else
    redis.call('RPUSH', LISTS[priority](queue), message_of(id, queue, now))
    notify(queue)
  end
end

-- Remove a task that is not fetched from the turns of its queue, and a message from its list.
local function remove_unfetched(id, queue, priority, owner)
  local turn = tonumber(redis.call('ZSCORE', keys.turns(queue), id))
  if turn and turn >= 0 then give_up_turn('queue:' .. queue, priority, owner, turn) end
  remove_turn(id, queue)
  if not turn or turn < 0 then return end
  local newest = redis.call('LINDEX', LISTS[priority](queue), 0)
  if newest and is_ours(newest) then redis.call('LPOP', LISTS[priority](queue)) end
end

-- Drop the message that a worker has fetched for a record.
local function forget_message(record)
  if record.m then
    redis.call('ZREM', keys.unacked_index, record.m)
    redis.call('HDEL', keys.unacked, record.m)
  end
end

