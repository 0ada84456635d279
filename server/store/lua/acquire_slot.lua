-- Whether it is time for a job that is done every now and then: name, seconds until the next time.
even_when_full()
return redis.call('SET', 'turn:' .. ARGV[1], 1, 'NX', 'EX', ARGV[2]) and 1 or 0
