-- Paused queues and task types: nothing of them starts. Most servers have none, which one look tells.
local ANY_PAUSED = redis.call('EXISTS', keys.pauses) == 1

local function is_paused(kind, name)
  return ANY_PAUSED and redis.call('HEXISTS', keys.pauses, kind .. ':' .. name) == 1
end

