-- Queue what is due, or queue again what has no message: id, rank, list, message, tag, and for a task that takes
-- files of others: default ttl s, error where one of these did not succeed. 1 where it was queued.
even_when_full()
local id = ARGV[1]
local record = load(id, 'dp')
local now = now_ms()

-- 'wait' while one of the tasks whose files it takes has not ended, 'fail' where one is gone or did not succeed.
local function sources()
  local word = 'go'
  for source in string.gmatch(record.dp or '', '[^,]+') do
    local status = redis.call('HGET', 't:' .. source, 's')
    if not status or status == 'failed' or status == 'canceled' then return 'fail' end
    if status ~= 'succeeded' then word = 'wait' end
  end
  return word
end

redis.call('ZREM', 'due', id)
if record.s == 'scheduled' or record.s == 'retrying' then
  local word = record.s == 'scheduled' and sources() or 'go'
  if word == 'wait' then return 0 end
  if word == 'fail' then
    finish(id, record, 'failed', now, ARGV[6], 'e', ARGV[7])
    return 0
  end
  redis.call('HDEL', 't:' .. id, 'u')
  if record.s == 'scheduled' then note_queued(id, now) end
  move(id, record.o, record.n, record.s, 'queued')
elseif record.s ~= 'queued' then
  return 0
end
enqueue(id, record.q, tonumber(ARGV[2]), now, ARGV[3], ARGV[4], ARGV[5])
return 1
