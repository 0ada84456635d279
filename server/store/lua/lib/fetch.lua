--- @include "clock"
--- @include "messages"
--- @include "pauses"
--- @include "record"
--- @include "throttle"
-- Messages that are dropped in one call.
local MAX_DROPPED = 500

-- The first task from a turn on, and its turn.
local function first_from(turn, queue)
  local first = redis.call('ZRANGEBYSCORE', keys.turns(queue), turn, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return {id = first[1], turn = tonumber(first[2] or math.huge)}
end

-- The user's own message that is next in a list; or an empty text for one of ours, with the id of the task whose turn
-- it is and its turn. A list may have one too few, or one too many, without a task. `heads` keeps the first task of
-- each queue over all priorities: most queues use one.
local function next_in(list, queue, priority, heads)
  local message = redis.call('LINDEX', list, -1)
  if message and not is_ours(message) then return message end
  local first = heads[queue] or first_from(0, queue)
  heads[queue] = first
  if first.turn < BANDS[priority] then first = first_from(BANDS[priority], queue) end
  if first.turn < BANDS[priority] + 1e12 then return '', first.id, first.turn end
  return message and ''
end

-- Remove a message from its list, and the task whose turn it was from the turns.
local function pop(list, queue, priority, id, turn)
  redis.call('RPOP', list)
  if turn then
    redis.call('ZREM', keys.turns(queue), id)
    serve('queue:' .. queue, priority, turn)
  end
end

-- Offer the first task or message of some lists, whose queues and priorities are the arguments from `first` to `last`,
-- to `accept`, and return its answer. `read` returns the record of a task, with its status and type at least. Tasks
-- that are no longer queued are dropped on the way, and those of paused types are throttled. Paused queues are skipped.
local function offer_first(first, last, read, accept)
  local dropped, heads = 0, {}
  for i = first, last, 2 do
    local queue, priority = ARGV[i], ARGV[i + 1]
    local list = LISTS[priority](queue)
    while not is_paused('queue', queue) do
      local message, id, turn = next_in(list, queue, priority, heads)
      if not message then break end
      local record = id and read(id) or {}
      local waits = record.s == 'queued'
      local paused = waits and is_paused('task', record.n)
      if message ~= '' or (waits and not paused) then
        return accept(list, message, queue, priority, id, record, turn)
      end
      redis.call('RPOP', list)
      heads[queue] = nil
      if paused then throttle(id, load(id), now_ms(), '') elseif id then redis.call('ZREM', keys.turns(queue), id) end
      dropped = dropped + 1
      if dropped == MAX_DROPPED then
        notify(queue)
        return false
      end
    end
  end
  return false
end
