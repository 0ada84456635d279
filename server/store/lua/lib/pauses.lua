-- Paused queues and task types: none of their tasks starts. Most servers have no pauses, which one command tells.
local ANY_PAUSED = redis.call('EXISTS', keys.pauses) == 1

local function is_paused(scope, name)
  return ANY_PAUSED and redis.call('HEXISTS', keys.pauses, scope .. ':' .. name) == 1
end

