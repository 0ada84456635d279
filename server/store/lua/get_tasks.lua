-- Read records, each with its position in the queue.
-- Input: ids. Output: for each id {fields and values, position (1 is next; 0: not queued)}. Publishes nothing.
local answer = {}
for i, id in ipairs(ARGV) do
  local fields, record = redis.call('HGETALL', keys.task(id)), {}
  for j = 1, #fields, 2 do
    if fields[j] == 's' or fields[j] == 'q' then record[fields[j]] = fields[j + 1] end
  end
  local rank = record.s == 'queued' and redis.call('ZRANK', keys.queued(record.q), id)
  answer[i] = {fields, rank and rank + 1 or 0}
end
return answer
