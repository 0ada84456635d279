-- A request with an idempotency key stored nothing: key, nonce.
if redis.call('HEXISTS', ARGV[1], 'id') == 0 and redis.call('HGET', ARGV[1], 'pending') == ARGV[2] then
  redis.call('DEL', ARGV[1])
end
