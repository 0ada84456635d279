-- Read a record and the later entries of its log.
-- Input: id, number of the reader's last entry (a number that does not exist yet is ignored).
-- Output: {fields and values, entries}. Publishes nothing.
local id, last = ARGV[1], tonumber(ARGV[2])
local written = tonumber(redis.call('HGET', keys.task(id), 'v') or 0)
local missed = last > written and written or written - last
local entries = missed > 0 and redis.call('LRANGE', keys.events(id), -missed, -1) or {}
return {redis.call('HGETALL', keys.task(id)), entries}
