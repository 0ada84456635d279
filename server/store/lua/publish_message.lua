-- Add a user's own Celery message to a queue, and wake a worker.
-- Input: queue, priority, message, milliseconds after which an unused queue expires or an empty text. Output: none.
-- Publishes nothing.
--- @include "allowed_when_full"
--- @include "messages"
redis.call('LPUSH', LISTS[ARGV[2]](ARGV[1]), ARGV[3])
notify(ARGV[1])
if ARGV[4] ~= '' then
  for _, list in pairs(LISTS) do redis.call('PEXPIRE', list(ARGV[1]), ARGV[4]) end
  redis.call('PEXPIRE', keys.notify_list(ARGV[1]), ARGV[4])
end
