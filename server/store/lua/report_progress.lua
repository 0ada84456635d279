-- Record progress and a log line of a task's function. If it is sent twice, it is recorded twice: better than losing
-- it.
-- Input: id, lease token, progress (JSON; '': none), log entry (JSON; '': none), maximum number of entries.
-- Output: the state that `attempt_state` returns.
-- Publishes `progress` and `log`.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "record"
local id, token = ARGV[1], ARGV[2]
local state = attempt_state(load(id), token)
if state == 'lost' then return state end

-- Field `v` of the record numbers the entries, so that a reader can tell whether it missed deleted ones.
local function note(event, content)
  local number = redis.call('HINCRBY', keys.task(id), 'v', 1)
  redis.call('RPUSH', keys.events(id), number .. ' ' .. event .. ' ' .. now_ms() .. ' ' .. content)
  redis.call('LTRIM', keys.events(id), -tonumber(ARGV[5]), -1)
  redis.call('PUBLISH', keys.task(id), event)
end

if ARGV[3] ~= '' then
  redis.call('HSET', keys.task(id), 'g', ARGV[3])
  note('progress', ARGV[3])
end
if ARGV[4] ~= '' then note('log', ARGV[4]) end
return state
