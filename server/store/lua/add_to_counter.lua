-- Add to a counter: name, number.
even_when_full()
redis.call('HINCRBY', 'stats', ARGV[1], ARGV[2])
