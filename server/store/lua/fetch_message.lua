-- Fetch one message and record it as unacknowledged, in one step: in kombu's `unacked` hash and index, in kombu's form.
-- Input: a nonce for the delivery tag, then queue and priority of each list, in the order of reading.
-- Output: nil, {queue, message} of a user's own Celery task, or {queue, id, tag, type, priority}. Publishes nothing.
--- @include "fetch"

local function record_unacked(queue, message, tag)
  local time = redis.call('TIME')
  redis.call('ZADD', keys.unacked_index, time[1] + time[2] / 1e6, tag)
  redis.call('HSET', keys.unacked, tag, '[' .. message .. ',"",' .. cjson.encode(queue) .. ']')
  -- There may be more messages for sleeping workers: wake the next one.
  local lists = redis.call('EXISTS', keys.normal_list(queue), keys.high_list(queue), keys.low_list(queue))
  if lists > 0 then notify(queue) end
end

local function status_and_type(id)
  local status, task_type = unpack(redis.call('HMGET', keys.task(id), 's', 'n'))
  return {s = status, n = task_type}
end

local function fetch(list, message, queue, priority, id, record, turn)
  pop(list, queue, priority, id, turn)
  if not id then
    record_unacked(queue, message, cjson.decode(message).properties.delivery_tag)
    return {queue, message}
  end
  local tag = id .. ':' .. ARGV[1]
  record_unacked(queue, '"' .. id .. '"', tag)
  redis.call('HSET', keys.task(id), 'm', tag)
  redis.call('ZADD', keys.turns(queue), turn - FETCHED, id)
  return {queue, id, tag, record.n, priority}
end

return offer_first(2, #ARGV, status_and_type, fetch)
