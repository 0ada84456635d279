-- Begin a request with an idempotency key: key, nonce of the request, s for which it may take.
-- Answers 'first', 'pending' (another request with this key is being stored), or 'done'.
if redis.call('HEXISTS', ARGV[1], 'id') == 1 then return 'done' end
local pending = redis.call('HGET', ARGV[1], 'pending')
if pending and pending ~= ARGV[2] then return 'pending' end
redis.call('HSET', ARGV[1], 'pending', ARGV[2])
redis.call('EXPIRE', ARGV[1], ARGV[3])
return 'first'
