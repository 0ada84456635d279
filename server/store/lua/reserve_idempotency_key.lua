-- Begin a request with an idempotency key.
-- Input: owner, digest of the key, nonce of the request, maximum seconds of the request.
-- Output: 'first', 'pending' (another request with this key is being stored), or 'done'. Publishes nothing.
local key = keys.idempotency(ARGV[1], ARGV[2])
if redis.call('HEXISTS', key, 'id') == 1 then return 'done' end
local pending = redis.call('HGET', key, 'pending')
if pending and pending ~= ARGV[3] then return 'pending' end
redis.call('HSET', key, 'pending', ARGV[3])
redis.call('EXPIRE', key, ARGV[4])
return 'first'
