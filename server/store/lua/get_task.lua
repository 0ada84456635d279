-- Read a record with its position in the queue.
-- Input: id. Output: its fields and values, then its position (1 is next; 0: not queued). Publishes nothing.
local id = ARGV[1]
local fields, status, queue = redis.call('HGETALL', keys.task(id))
for i = 1, #fields, 2 do
  local name = fields[i]
  if name == 's' then status = fields[i + 1] elseif name == 'q' then queue = fields[i + 1] end
end
local rank = status == 'queued' and redis.call('ZRANK', keys.turns(queue), id)
fields[#fields + 1] = rank and rank + 1 or 0
return fields
