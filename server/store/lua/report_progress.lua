-- What a task's function reports. Sent twice, it is noted twice: a line too many rather than one lost.
-- Input: id, lease token, progress (JSON; '': none), log entry (JSON; '': none), most entries kept.
-- Output: 'run', 'stop' (the client canceled) or 'lost' (another attempt has the lease, or it is over).
-- Publishes `progress` and `log`.
--- @include "clock"
--- @include "record"
--- @include "when_full"
allow_when_full()
local id, token = ARGV[1], ARGV[2]
local record = load(id)
if record.w ~= token or (record.s ~= 'running' and record.s ~= 'canceling') then return 'lost' end

-- Entries are numbered by `v` in the record, so that a reader knows what it has missed when old ones have gone.
local function note(word, content)
  local number = redis.call('HINCRBY', keys.task(id), 'v', 1)
  redis.call('RPUSH', keys.events(id), number .. ' ' .. word .. ' ' .. now_ms() .. ' ' .. content)
  redis.call('LTRIM', keys.events(id), -tonumber(ARGV[5]), -1)
  redis.call('PUBLISH', keys.task(id), word)
end

if ARGV[3] ~= '' then
  redis.call('HSET', keys.task(id), 'g', ARGV[3])
  note('progress', ARGV[3])
end
if ARGV[4] ~= '' then note('log', ARGV[4]) end
if record.s == 'canceling' then return 'stop' end
return 'run'
