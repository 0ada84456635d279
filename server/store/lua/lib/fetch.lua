--- @include "clock"
--- @include "messages"
--- @include "pauses"
--- @include "record"
--- @include "throttle"
-- Messages that are dropped in one call.
local MAX_DROPPED = 500

-- Offer the first message of some lists, whose queues and priorities are the arguments from `first` to `last`, to
-- `take`, and return its answer. Messages of tasks that are no longer queued (canceled, or queued twice) are dropped on
-- the way, and tasks of paused types set aside. A paused queue has no first message.
local function take_first(first, last, take)
  local dropped = 0
  for i = first, last, 2 do
    local queue, priority = ARGV[i], ARGV[i + 1]
    local list = LISTS[priority](queue)
    while not is_paused('queue', queue) do
      local message = redis.call('LINDEX', list, -1)
      if not message then break end
      local id, status, task_type = task_of(message), nil, nil
      if id then status, task_type = unpack(redis.call('HMGET', keys.task(id), 's', 'n')) end
      local waits = status == 'queued' and is_paused('task', task_type)
      if not id or (status == 'queued' and not waits) then return take(list, message, queue, priority, id, task_type) end
      redis.call('RPOP', list)
      if waits then throttle(id, load(id), now_ms(), '') end
      dropped = dropped + 1
      if dropped == MAX_DROPPED then
        notify(queue)
        return false
      end
    end
  end
  return false
end

