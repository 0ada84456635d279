-- Remove tasks from those without a message at the external broker, except those that were queued again since.
-- Input: time ms, then ids. Output: none. Publishes nothing.
local until_ms = tonumber(ARGV[1])
for i = 2, #ARGV do
  local queued_at = tonumber(redis.call('ZSCORE', keys.unpublished, ARGV[i]))
  if queued_at and queued_at <= until_ms then redis.call('ZREM', keys.unpublished, ARGV[i]) end
end
