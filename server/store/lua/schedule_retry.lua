-- The function failed and is tried again later: id, holder, wait ms, error, report of the failure ('': none). 1, or 0 as in finish.lua.
even_when_full()
local id, holder = ARGV[1], ARGV[2]
local record = load(id)
if record.s == 'retrying' then return 1 end
if record.w ~= holder or record.s ~= 'running' then return 0 end
local now = now_ms()
local due = now + tonumber(ARGV[3])
note_run(id, record, now, 'failed', cjson.decode(ARGV[4]).detail)
redis.call('HSET', 't:' .. id, 'u', due, 'e', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', 't:' .. id, 'fl', ARGV[5]) end
redis.call('HINCRBY', 't:' .. id, 'a', 1)
redis.call('HDEL', 't:' .. id, 'w', 'g', 'm')
redis.call('ZREM', 'leases', id)
redis.call('ZADD', 'due', due, id)
move(id, record.o, record.n, 'running', 'retrying')
return 1
