-- Defer a queued task whose type is unknown to the worker that fetched it. The delay is a quarter of the task's age.
-- Input: id, minimum and maximum ms until it is due again. Output: 1, or 0 if there is no record.
-- Publishes `scheduled`.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "ids"
--- @include "indexes"
--- @include "record"
--- @include "turns"
local id, now = ARGV[1], now_ms()
local record = load(id)
if not record.s then return 0 end
if record.s == 'queued' and not is_throttled(id, record.q) then
  local wait = math.min(tonumber(ARGV[3]), math.max(tonumber(ARGV[2]), math.floor((now - submitted_ms(id)) / 4)))
  redis.call('HSET', keys.task(id), 'u', now + wait)
  redis.call('ZREM', keys.queued(record.q), id)
  remove_turn(id, record.q)
  redis.call('ZADD', keys.due, now + wait, id)
  set_status(id, record, 'scheduled')
end
return 1
