-- Read a record and its position in the queue.
-- Input: id. Output: {fields and values, position (1 is next; 0: not queued)}. Publishes nothing.
local fields = redis.call('HGETALL', keys.task(ARGV[1]))
local record = {}
for i = 1, #fields, 2 do
  if fields[i] == 's' or fields[i] == 'q' then record[fields[i]] = fields[i + 1] end
end
local rank = record.s == 'queued' and redis.call('ZRANK', keys.queued(record.q), ARGV[1])
return {fields, rank and rank + 1 or 0}
