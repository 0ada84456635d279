-- Cancel unfinished tasks whose `cancel_after` has passed, and those that have not started within `start_within`.
-- Input: most. Output: the number of tasks read; below `most` means that none is left. Publishes each status.
--- @include "allowed_when_full"
--- @include "attempt"
--- @include "finish"
--- @include "record"
local now = now_ms()
local late = redis.call('ZRANGEBYSCORE', keys.start_deadlines, 0, now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(late) do
  if not refuse_late(id, load(id), now) then redis.call('ZREM', keys.start_deadlines, id) end
end
local ids = redis.call('ZRANGEBYSCORE', keys.deadlines, 0, now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZREM', keys.deadlines, id)
  local record = load(id)
  if is_waiting(record) then
    record.expired = true
    finish(id, record, 'canceled', now)
  elseif record.s == 'running' then
    redis.call('HSET', keys.task(id), 'cr', now)
    set_status(id, record, 'canceling')
  end
end
return math.max(#ids, #late)
