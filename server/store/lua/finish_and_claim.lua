-- End an attempt and, for the same child, claim the next task in its queues: a step of a burst. May be sent twice.
-- The next task needs no message in `unacked`, because it has a lease from its start.
-- Input: id, lease token, status, lease ms, the types that may follow (each between spaces), the number of arguments
-- that describe lists, queue and priority of each list in the order of reading, then fields and values.
-- Output: 1, or 0 if the attempt has lost its lease; then the data of the next attempt, where there is one.
-- Publishes the status, and `running` of the next task.
--- @include "allowed_when_full"
--- @include "attempt"
--- @include "burst"
--- @include "end_attempt"
--- @include "fetch"
local id, token = ARGV[1], ARGV[2]
local last = 6 + ARGV[6]
local now = now_ms()
local ended, by_this_call = end_attempt(id, token, ARGV[3], now, last + 1)
if not ended then return {0} end

local function claimed_before()
  local claimed = current_of(id, token)
  local record = claimed ~= id and load(claimed)
  if record and attempt_state(record, token) ~= 'lost' then return attempt_of(claimed, record) end
end

local function claim(list, _, queue, priority, next_id, record, turn)
  -- A user's own Celery message, or a type with limits, is for the main process to fetch.
  if not next_id or not string.find(ARGV[5], ' ' .. record.n .. ' ', 1, true) then return false end
  pop(list, queue, priority, next_id, turn)
  if refuse_late(next_id, record, now) then return false end
  start_attempt(next_id, record, token, now, ARGV[4])
  begin_turns_anew(queue)
  note_burst(next_id, token)
  return attempt_of(next_id, record)
end

local attempt = not by_this_call and claimed_before()  -- the answer was lost
if attempt then return {1, unpack(attempt)} end
local is_draining = redis.call('EXISTS', keys.draining(string.match(token, '^[^/]*'))) == 1
attempt = not is_draining and offer_first(7, last, load, claim)
if not attempt then end_burst(token) end
return {1, unpack(attempt or {})}
