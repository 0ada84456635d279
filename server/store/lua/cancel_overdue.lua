-- Cancel unfinished tasks whose `cancel_after` has passed, and those that have not started within `start_within`.
-- Input: maximum number. Output: the number of tasks read; below the maximum means that none is left. Publishes each
-- status.
--- @include "allowed_when_full"
--- @include "attempt"
--- @include "cancel"
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
  record.expired = true
  cancel(id, record, now)
end
return math.max(#ids, #late)
