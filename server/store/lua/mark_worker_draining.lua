-- A worker that stops claims nothing more: worker, seconds after which it is gone.
even_when_full()
redis.call('SET', 'leaving:' .. ARGV[1], 1, 'EX', ARGV[2])
