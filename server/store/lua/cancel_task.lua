-- id, default ttl s. Answers the status that the task has now, or nothing: it has gone.
even_when_full()
local id = ARGV[1]
local record = load(id)
if record.s == 'queued' or record.s == 'scheduled' or record.s == 'retrying' then
  finish(id, record, 'canceled', now_ms(), ARGV[2])
  return 'canceled'
end
if record.s == 'running' then
  redis.call('HSET', 't:' .. id, 'cr', now_ms())
  move(id, record.o, record.n, 'running', 'canceling')
  return 'canceling'
end
return record.s
