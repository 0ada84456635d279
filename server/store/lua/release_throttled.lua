-- Queue the throttled tasks of a type that its limit permits now, with their old turns in the queue. None while the
-- type is paused. A paused queue of an external broker would deliver them all the same.
-- Input: type, scope ('': all), maximum at the same time (0: any), starts per minute (0: any), maximum to release now.
-- Output: the number of queued tasks. Publishes nothing: their status does not change.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "pauses"
--- @include "throttle"
local task_type, scope, limit = ARGV[1], ARGV[2], tonumber(ARGV[5])
local throttled, group, now, released = keys.throttled(task_type, scope), group_of(task_type, scope), now_ms(), 0
local max_running, per_minute = tonumber(ARGV[3]), tonumber(ARGV[4])
local free = is_paused('task', task_type) and 0 or free_slots(now, task_type, scope, max_running, per_minute)
while released < math.min(free, limit) do
  local id, group_turn = unpack(redis.call('ZPOPMIN', throttled))
  if not id then break end
  local status, queue, priority, turn = unpack(redis.call('HMGET', keys.task(id), 's', 'q', 'p', 'tu'))
  if status == 'queued' then  -- else it was canceled while it waited
    if config.external_broker and is_paused('queue', queue) then
      redis.call('ZADD', throttled, group_turn, id)
      break
    end
    priority = priority or 'normal'
    serve(group, priority, tonumber(group_turn))
    local score = redis.call('ZSCORE', keys.throttled_in(queue), id) or BASES[priority] + now
    redis.call('ZADD', keys.queued(queue), score, id)
    redis.call('ZREM', keys.throttled_in(queue), id)
    wait_again(id, queue, priority, turn and string.match(turn, '%S+'), now)
    released = released + 1
  end
end
local name = task_type .. ':' .. scope
if redis.call('EXISTS', throttled) == 0 then
  redis.call('ZREM', keys.throttled_scopes, name)
  redis.call('DEL', keys.turn(group), keys.turn_ends(group))
else
  redis.call('ZADD', keys.throttled_scopes, free > limit and 0 or next_check(now, task_type, scope), name)
end
return released
