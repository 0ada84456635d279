--- @include "clock"
--- @include "messages"
--- @include "pauses"
--- @include "record"
--- @include "throttle"
-- Messages that are dropped in one call.
local MAX_DROPPED = 500

-- The user's own message that is next in a list; or an empty text for one of ours, with the id of the task whose turn it
-- is and its turn. A list may have one too few, or one too many, without a task.
local function next_in(list, queue, priority)
  local message = redis.call('LINDEX', list, -1)
  if message and not is_ours(message) then return message end
  local until_turn = '(' .. BANDS[priority] + 1e12
  local found = redis.call('ZRANGEBYSCORE', keys.turns(queue), BANDS[priority], until_turn, 'WITHSCORES', 'LIMIT', 0, 1)
  if found[1] then return '', found[1], tonumber(found[2]) end
  return message and ''
end

-- Remove a message, and the task whose turn it was, from what waits.
local function pop(list, queue, priority, id, turn)
  redis.call('RPOP', list)
  if turn then
    redis.call('ZREM', keys.turns(queue), id)
    serve('queue:' .. queue, priority, turn)
  end
end

-- Offer the first task or message of some lists, whose queues and priorities are the arguments from `first` to `last`, to
-- `take`, and return its answer. Tasks that are no longer queued are dropped on the way, and those of paused types set
-- aside. A paused queue has no first one.
local function take_first(first, last, take)
  local dropped = 0
  for i = first, last, 2 do
    local queue, priority = ARGV[i], ARGV[i + 1]
    local list = LISTS[priority](queue)
    while not is_paused('queue', queue) do
      local message, id, turn = next_in(list, queue, priority)
      if not message then break end
      local status, task_type
      if id then status, task_type = unpack(redis.call('HMGET', keys.task(id), 's', 'n')) end
      local waits = status == 'queued'
      local paused = waits and is_paused('task', task_type)
      if message ~= '' or (waits and not paused) then return take(list, message, queue, priority, id, task_type, turn) end
      redis.call('RPOP', list)
      if paused then throttle(id, load(id, 'tu'), now_ms(), '') elseif id then redis.call('ZREM', keys.turns(queue), id) end
      dropped = dropped + 1
      if dropped == MAX_DROPPED then
        notify(queue)
        return false
      end
    end
  end
  return false
end
