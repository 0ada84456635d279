-- What a run notes for a later run of its task: id, holder, key, value. Answers as progress.lua.
-- It is kept even where the run has lost its lease: what has happened has happened. Sent twice, it is noted once.
even_when_full()
local id = ARGV[1]
local record = load(id)
if not record.s then return 'lost' end
redis.call('HSET', 'memo:' .. id, ARGV[3], ARGV[4])
if record.w ~= ARGV[2] or (record.s ~= 'running' and record.s ~= 'canceling') then return 'lost' end
return record.s == 'canceling' and 'stop' or 'run'
