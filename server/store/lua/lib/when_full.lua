-- At `maxmemory`, Redis refuses a script at its first write that needs memory, but not after a write that needs none.
-- For every script that brings an accepted task to its end.
local function allow_when_full()
  redis.call('DEL', keys.nothing)
end

