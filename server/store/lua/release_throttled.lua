-- Queue the throttled tasks of a type that its limit permits now.
-- Input: type, owner ('': all), most at the same time (0: any), starts per minute (0: any), most of them now.
-- Output: the number of queued tasks. Publishes nothing: their status does not change.
--- @include "clock"
--- @include "throttle"
--- @include "when_full"
allow_when_full()
local task_type, owner = ARGV[1], ARGV[2]
local throttled, now, released = keys.throttled(task_type, owner), now_ms(), 0
local free = math.min(tonumber(ARGV[5]), room(now, task_type, owner, tonumber(ARGV[3]), tonumber(ARGV[4])))
while released < free do
  local id = redis.call('ZPOPMIN', throttled)[1]
  if not id then break end
  local status, queue, priority = unpack(redis.call('HMGET', keys.task(id), 's', 'q', 'p'))
  if status == 'queued' then  -- else it was canceled while it waited
    redis.call('ZREM', keys.throttled_in(queue), id)
    enqueue(id, queue, priority, now)
    released = released + 1
  end
end
if redis.call('EXISTS', throttled) == 0 then redis.call('SREM', keys.throttles, task_type .. ':' .. owner) end
return released
