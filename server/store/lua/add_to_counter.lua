-- Add to a counter.
-- Input: name, number. Output: none. Publishes nothing.
--- @include "when_full"
allow_when_full()
redis.call('HINCRBY', keys.stats, ARGV[1], ARGV[2])
