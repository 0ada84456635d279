-- Release the idempotency key of a request that stored nothing.
-- Input: owner, digest of the key, nonce of the request. Output: none. Publishes nothing.
local key = keys.idempotency(ARGV[1], ARGV[2])
if redis.call('HEXISTS', key, 'id') == 0 and redis.call('HGET', key, 'pending') == ARGV[3] then
  redis.call('DEL', key)
end
