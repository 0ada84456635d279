-- Queue the throttled tasks of a type that its limit permits now, in front of the others: they were next before. None
-- while the type is paused. A paused queue of an external broker would deliver them all the same.
-- Input: type, owner ('': all), most at the same time (0: any), starts per minute (0: any), most of them now.
-- Output: the number of queued tasks. Publishes nothing: their status does not change.
--- @include "clock"
--- @include "pauses"
--- @include "throttle"
--- @include "when_full"
allow_when_full()
local task_type, owner = ARGV[1], ARGV[2]
if is_paused('task', task_type) then return 0 end
local throttled, now, released = keys.throttled(task_type, owner), now_ms(), {}
local permitted = room(now, task_type, owner, tonumber(ARGV[3]), tonumber(ARGV[4]))
-- Of all of them, the youngest first: the next call puts its tasks in front of them.
local pop = permitted == math.huge and 'ZPOPMAX' or 'ZPOPMIN'
while #released < math.min(permitted, tonumber(ARGV[5])) do
  local id, score = unpack(redis.call(pop, throttled))
  if not id then break end
  local status, queue, priority = unpack(redis.call('HMGET', keys.task(id), 's', 'q', 'p'))
  if status == 'queued' then  -- else it was canceled while it waited
    if config.external_broker and is_paused('queue', queue) then
      redis.call('ZADD', throttled, score, id)
      break
    end
    redis.call('ZREM', keys.throttled_in(queue), id)
    table.insert(released, pop == 'ZPOPMIN' and 1 or #released + 1, {id, queue, priority, score, now})
  end
end
for _, each in ipairs(released) do enqueue_first(unpack(each)) end
if redis.call('EXISTS', throttled) == 0 then redis.call('SREM', keys.throttles, task_type .. ':' .. owner) end
return #released
