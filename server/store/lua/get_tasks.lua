-- Read records, each with its position in the queue.
-- Input: ids. Output: for each id its fields and values, then its position (1 is next; 0: not queued). Publishes nothing.
local call, answer = redis.call, {}
for i, id in ipairs(ARGV) do
  local fields, status, queue = call('HGETALL', keys.task(id))
  for j = 1, #fields, 2 do
    local name = fields[j]
    if name == 's' then status = fields[j + 1] elseif name == 'q' then queue = fields[j + 1] end
  end
  local rank = status == 'queued' and call('ZRANK', keys.turns(queue), id)
  fields[#fields + 1] = rank and rank + 1 or 0
  answer[i] = fields
end
return answer
