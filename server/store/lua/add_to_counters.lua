-- Add to counters of a hash.
-- Input: its key, then name, number ('now': set it to the time in ms), … Output: none. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == 'now' then
    redis.call('HSET', ARGV[1], ARGV[i], now_ms())
  else
    redis.call('HINCRBY', ARGV[1], ARGV[i], ARGV[i + 1])
  end
end
