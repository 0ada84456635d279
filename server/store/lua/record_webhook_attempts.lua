-- Note the tries of a webhook that was taken: id, lease, tries (JSON), wait ms until the next try ('' for none).
-- 1, or 0 where the lease was lost or the record is no more.
even_when_full()
local id = ARGV[1]
if tonumber(redis.call('ZSCORE', 'webhooks', id) or 0) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[4] == '' or redis.call('EXISTS', 't:' .. id) == 0 then
  redis.call('ZREM', 'webhooks', id)
else
  redis.call('ZADD', 'webhooks', now_ms() + tonumber(ARGV[4]), id)
end
if redis.call('EXISTS', 't:' .. id) == 0 then return 0 end
redis.call('HSET', 't:' .. id, 'wt', ARGV[3])
return 1
