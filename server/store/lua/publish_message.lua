-- Add a user's own Celery message to a queue, and wake a worker.
-- Input: queue, priority, message. Output: none. Publishes nothing.
--- @include "messages"
--- @include "when_full"
allow_when_full()
redis.call('LPUSH', LISTS[ARGV[2]](ARGV[1]), ARGV[3])
notify(ARGV[1])
