-- Renew the leases of a worker's attempts.
-- Input: lease ms, ms after which a canceled attempt is stopped, then task ids and lease tokens.
-- Output: for each the task that it runs (a later one of its burst), its type, and the state of its lease: 'mine',
-- 'stop' (canceled longer ago than that), 'other' (another attempt has the lease), 'queued', or 'none' of these.
-- Publishes nothing.
--- @include "allowed_when_full"
--- @include "burst"
--- @include "clock"
--- @include "record"
local now, answer = now_ms(), {}
for i = 3, #ARGV, 2 do
  local token = ARGV[i + 1]
  local id = current_of(ARGV[i], token)
  local record = load(id)
  local state = 'none'
  if record.w == token then
    state = (record.cr and now - record.cr > tonumber(ARGV[2])) and 'stop' or 'mine'
    redis.call('ZADD', keys.leases, 'XX', now + tonumber(ARGV[1]), id)
  elseif record.w then
    state = 'other'
  elseif record.s == 'queued' then
    state = 'queued'
  end
  for _, each in ipairs({id, record.n or '', state}) do answer[#answer + 1] = each end
end
return answer
