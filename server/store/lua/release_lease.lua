-- Take a run away from its holder: id, holder ('' where the lease must have run out), crashes to add, most crashes,
-- error at that many, default ttl s, rank, list, message, tag. Answers the new status, or nothing.
even_when_full()
local id, holder = ARGV[1], ARGV[2]
local record = load(id, 'c')
local now = now_ms()
if record.s ~= 'running' and record.s ~= 'canceling' then return false end
if holder == '' then
  local lease = redis.call('ZSCORE', 'leases', id)
  if lease and tonumber(lease) > now then return false end
elseif record.w ~= holder then
  return false
end
local stopping = holder == '' and redis.call('EXISTS', 'leaving:' .. string.match(record.w or '', '^[^/]*')) == 1
local crashes = redis.call('HINCRBY', 't:' .. id, 'c', stopping and 0 or ARGV[3])
if record.s == 'canceling' then
  finish(id, record, 'canceled', now, ARGV[6])
  return 'canceled'
end
if crashes >= tonumber(ARGV[4]) then
  finish(id, record, 'failed', now, ARGV[6], 'e', ARGV[5])
  return 'failed'
end
note_run(id, record, now, ARGV[3] == '0' and 'handed_back' or holder == '' and 'lost' or 'crashed', '')
forget_message(record)
redis.call('ZREM', 'leases', id)
redis.call('HDEL', 't:' .. id, 'w', 'g')
move(id, record.o, record.n, record.s, 'queued')
enqueue(id, record.q, tonumber(ARGV[7]), now, ARGV[8], ARGV[9], ARGV[10])
return 'queued'
