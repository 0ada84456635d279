-- Fetch one message and record it as held, in one step: in kombu's `unacked` hash and index, in kombu's form. Messages
-- of tasks that are no longer queued (canceled, or queued twice) are dropped on the way, a batch at a time.
-- Input: a nonce for the delivery tag, then queue and priority of each list, in the order of reading.
-- Output: nil, {queue, message} of a user's own Celery task, or {queue, id, tag, type, priority}. Publishes nothing.
--- @include "messages"
local MAX_DROPPED = 500
local dropped = 0

local function note(queue, message, tag)
  local time = redis.call('TIME')
  redis.call('ZADD', keys.unacked_index, time[1] + time[2] / 1e6, tag)
  redis.call('HSET', keys.unacked, tag, '[' .. message .. ',"",' .. cjson.encode(queue) .. ']')
  -- There may be more messages for sleeping workers: wake the next one.
  if redis.call('EXISTS', keys.normal_list(queue), keys.high_list(queue), keys.low_list(queue)) > 0 then notify(queue) end
end

local function fetched(queue, priority, message)
  local id = task_of(message)
  if not id then
    note(queue, message, cjson.decode(message).properties.delivery_tag)
    return {queue, message}
  end
  local status, task_type = unpack(redis.call('HMGET', keys.task(id), 's', 'n'))
  if status ~= 'queued' then
    dropped = dropped + 1
    return nil
  end
  local tag = id .. ':' .. ARGV[1]
  note(queue, '"' .. id .. '"', tag)
  redis.call('HSET', keys.task(id), 'm', tag)
  return {queue, id, tag, task_type, priority}
end

for i = 2, #ARGV, 2 do
  local queue, priority = ARGV[i], ARGV[i + 1]
  local list = LISTS[priority](queue)
  while true do
    local message = redis.call('RPOP', list)
    if not message then break end
    local found = fetched(queue, priority, message)
    if found then return found end
    if dropped == MAX_DROPPED then
      notify(queue)
      return false
    end
  end
end
return false
