-- A record, and what its function has reported since.
-- Input: id, number of the last entry that the reader has (one that is still to come is not one of ours).
-- Output: {fields and values, entries}. Publishes nothing.
local id, last = ARGV[1], tonumber(ARGV[2])
local written = tonumber(redis.call('HGET', keys.task(id), 'v') or 0)
local missed = last > written and written or written - last
local entries = missed > 0 and redis.call('LRANGE', keys.events(id), -missed, -1) or {}
return {redis.call('HGETALL', keys.task(id)), entries}
