-- What a run says of itself: id, holder, progress ('' for none), line for its log ('' for none), most entries kept.
-- Answers 'run', 'stop' (the client canceled) or 'lost' (another run has it, or it is over).
-- Sent twice, it is noted twice: a line too many rather than one lost.
even_when_full()
local id, holder = ARGV[1], ARGV[2]
local record = load(id)
if record.w ~= holder or (record.s ~= 'running' and record.s ~= 'canceling') then return 'lost' end

-- Entries are numbered by `v` in the record, so that a reader knows what it has missed when old ones have gone.
local function note(word, text)
  local number = redis.call('HINCRBY', 't:' .. id, 'v', 1)
  redis.call('RPUSH', 'events:' .. id, number .. ' ' .. word .. ' ' .. now_ms() .. ' ' .. text)
  redis.call('LTRIM', 'events:' .. id, -tonumber(ARGV[5]), -1)
  redis.call('PUBLISH', 't:' .. id, word)
end

if ARGV[3] ~= '' then
  redis.call('HSET', 't:' .. id, 'g', ARGV[3])
  note('progress', ARGV[3])
end
if ARGV[4] ~= '' then note('log', ARGV[4]) end
if record.s == 'canceling' then return 'stop' end
return 'run'
