-- The function failed and is tried again later.
-- Input: id, lease token, ms to wait, error (JSON), report of the failure (JSON, '': none).
-- Output: 1, or 0 where the attempt has lost its lease.
-- Publishes `retrying`.
--- @include "allowed_when_full"
--- @include "earlier_attempts"
--- @include "burst"
--- @include "clock"
--- @include "record"
--- @include "retry"
local id, token = ARGV[1], ARGV[2]
local record = load(id)
if record.s == 'retrying' then return 1 end
if record.w ~= token or record.s ~= 'running' then return 0 end
local now = now_ms()
local due = now + tonumber(ARGV[3])
note_attempt(id, record, now, 'failed', cjson.decode(ARGV[4]).detail)
if ARGV[5] ~= '' then
  redis.call('HSET', keys.task(id), 'fl', ARGV[5])
  redis.call('RPUSH', keys.reports(id), record.b .. ' ' .. ARGV[5])
  redis.call('LTRIM', keys.reports(id), -5, -1)
end
redis.call('HINCRBY', keys.task(id), 'a', 1)
end_burst(token)
retry_at(due, id, record, ARGV[4])
return 1
