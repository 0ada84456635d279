-- Renew the leases of a worker's attempts.
-- Input: lease ms, ms after which a canceled attempt is stopped, then task ids and lease tokens.
-- Output: a word for each: 'mine', 'stop' (canceled longer ago than that), 'other' (another attempt has the lease),
-- 'queued', or 'none' of these. Publishes nothing.
--- @include "clock"
--- @include "record"
--- @include "when_full"
allow_when_full()
local now, words = now_ms(), {}
for i = 3, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local record = load(id, 'cr')
  local word = 'none'
  if record.w == token then
    word = (record.cr and now - record.cr > tonumber(ARGV[2])) and 'stop' or 'mine'
    redis.call('ZADD', keys.leases, 'XX', now + tonumber(ARGV[1]), id)
  elseif record.w then
    word = 'other'
  elseif record.s == 'queued' then
    word = 'queued'
  end
  words[#words + 1] = word
end
return words
