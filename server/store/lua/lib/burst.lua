-- The tasks that children have claimed by themselves (see `server.celery_app.worker.burst`), by the nonce of the lease
-- token under which the worker's main process knows the child. The second and later ones only.
local BURST_SECONDS = 3600  -- the main process renews it every second

local function bursts_of(token)
  local worker, nonce = string.match(token, '^([^/]*)/(.*)$')
  return keys.bursts(worker or token), nonce or ''
end

-- The task that the child with a lease token runs: the first one, or a later one of its burst.
local function current_of(id, token)
  local bursts, nonce = bursts_of(token)
  local current = redis.call('HGET', bursts, nonce)
  if current then redis.call('EXPIRE', bursts, BURST_SECONDS) end
  return current or id
end

local function note_burst(id, token)
  local bursts, nonce = bursts_of(token)
  if redis.call('HSET', bursts, nonce, id) == 1 then redis.call('EXPIRE', bursts, BURST_SECONDS) end
end

local function end_burst(token)
  local bursts, nonce = bursts_of(token)
  redis.call('HDEL', bursts, nonce)
end

