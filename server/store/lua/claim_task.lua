-- Decide who runs a task: from `queued` to `running`, which counts the delivery. id, holder, lease ms, and the
-- kind's limits: most at once (0: any), starts a minute (0: any), '' or 'owner' where they are an owner's.
-- Answers {kind, owner, input, deliveries, retries, request id}, or nothing: drop the message. May be sent twice.
even_when_full()
local id, holder = ARGV[1], ARGV[2]
local most, per_minute, per_owner = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == 'owner'
local record = load(id, 'i', 'a', 'd', 'h')
local now = now_ms()
-- A worker that is leaving hands back what it holds; what it holds unawares it must not begin.
if redis.call('EXISTS', 'leaving:' .. string.match(holder, '^[^/]*')) == 1 then return false end
if record.s == 'queued' then
  local owner = per_owner and record.o
  if room(now, record.n, owner, most, per_minute) <= 0 then
    hold(id, record, now, owner)
    return false
  end
  record.d = (record.d or 0) + 1
  if per_minute > 0 then note_start(now, record.n, owner, id .. ':' .. record.d) end
  if record.b then redis.call('HDEL', 't:' .. id, 'g') end
  local place = redis.call('ZSCORE', 'queued:' .. record.q, id)
  if place then count_start(now, record, place % 1e13) end
  redis.call('ZREM', 'queued:' .. record.q, id)
  redis.call('ZADD', 'leases', now + tonumber(ARGV[3]), id)
  move(id, record.o, record.n, 'queued', 'running', 'w', holder, 'b', now, 'd', record.d)
elseif record.s ~= 'running' or record.w ~= holder then
  return false
end
return {record.n, record.o, record.i or '{}', tostring(record.d), record.a or '0', record.h or ''}
