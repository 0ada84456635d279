-- Record the delivery attempts of a leased webhook.
-- Input: id of the task or the batch, lease, attempts (JSON), ms until the next one ('' for none), counter of the
--   outcome ('' for none).
-- Output: 1, or 0 if the lease was lost or the record is gone. Publishes nothing.
--- @include "allowed_when_full"
--- @include "clock"
local id = ARGV[1]
if tonumber(redis.call('ZSCORE', keys.webhooks, id) or 0) ~= tonumber(ARGV[2]) then return 0 end
local key = redis.call('EXISTS', keys.task(id)) == 1 and keys.task(id) or keys.batch(id)
local exists = redis.call('EXISTS', key) == 1
if ARGV[4] == '' or not exists then
  redis.call('ZREM', keys.webhooks, id)
else
  redis.call('ZADD', keys.webhooks, now_ms() + tonumber(ARGV[4]), id)
end
if not exists then return 0 end
redis.call('HSET', key, 'wt', ARGV[3])
if ARGV[5] ~= '' then redis.call('HINCRBY', keys.stats, 'webhook:' .. ARGV[5], 1) end
return 1
