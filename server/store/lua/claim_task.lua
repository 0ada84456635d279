-- Claim a task for an attempt: from `queued` to `running`, which counts the delivery. May be sent twice.
-- Input: id, lease token, lease ms, and the limits of the type: maximum at the same time (0: any), starts per minute
-- (0: any), their scope ('': the type, 'owner', or 'value': that of a parameter).
-- Output: the data of `attempt_of`, or nil: drop the message. Publishes `running`, or `canceled` for a task that has
-- not started within `start_within`.
--- @include "allowed_when_full"
--- @include "attempt"
--- @include "clock"
--- @include "pauses"
--- @include "record"
--- @include "throttle"
local id, token = ARGV[1], ARGV[2]
local max_running, per_minute = tonumber(ARGV[4]), tonumber(ARGV[5])
local record = load(id)
local now = now_ms()
-- A stopping worker returns the tasks that it knows of; it must not start one that it has not registered yet.
if redis.call('EXISTS', keys.draining(string.match(token, '^[^/]*'))) == 1 then return false end
if record.s == 'queued' then
  if record.tu and is_throttled(id, record.q) then return false end
  if refuse_late(id, record, now) then return false end
  if is_paused('queue', record.q) or is_paused('task', record.n) then  -- since it was fetched
    throttle(id, record, now, '')
    return false
  end
  local scope = scope_of(id, record, ARGV[6])
  if free_slots(now, record.n, scope, max_running, per_minute) <= 0 then
    throttle(id, record, now, scope)
    return false
  end
  remove_turn(id, record.q)
  start_attempt(id, record, token, now, ARGV[3])
  if per_minute > 0 then note_start(now, record.n, scope, id .. ':' .. record.d) end
elseif record.s ~= 'running' or record.w ~= token then
  return false
end
return attempt_of(id, record)
