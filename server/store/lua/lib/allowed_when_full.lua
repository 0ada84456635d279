-- For every script that brings an accepted task to its end. At `maxmemory`, Redis refuses a script at its first write
-- that needs memory, but not after a write that needs none: this one.
redis.call('DEL', keys.nothing)
