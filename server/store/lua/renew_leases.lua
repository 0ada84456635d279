-- Renew what a worker runs: lease ms, cancel grace ms, then task ids and holders. Answers a word for each:
-- 'mine', 'stop' (canceled longer ago than the grace), 'other' (another run has it), 'queued', or 'none' of these.
even_when_full()
local now, words = now_ms(), {}
for i = 3, #ARGV, 2 do
  local id, holder = ARGV[i], ARGV[i + 1]
  local record = load(id, 'cr')
  local word = 'none'
  if record.w == holder then
    word = (record.cr and now - record.cr > tonumber(ARGV[2])) and 'stop' or 'mine'
    redis.call('ZADD', 'leases', 'XX', now + tonumber(ARGV[1]), id)
  elseif record.w then
    word = 'other'
  elseif record.s == 'queued' then
    word = 'queued'
  end
  words[#words + 1] = word
end
return words
