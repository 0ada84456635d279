-- A record, and what its run has said since: id, number of the last entry that the reader has (one that is still to
-- come is none of ours).
local id, had = ARGV[1], tonumber(ARGV[2])
local said = tonumber(redis.call('HGET', 't:' .. id, 'v') or 0)
local missed = had > said and said or said - had
local entries = missed > 0 and redis.call('LRANGE', 'events:' .. id, -missed, -1) or {}
return {redis.call('HGETALL', 't:' .. id), entries}
