-- Read what the status objects of tasks show.
-- Input: ids. Output: for each id the fields of `_WAITING` in `tasks.py`, for a task that was started or has ended also
--   those of `_STARTED`, and its position in the queue (1 is next; 0: not queued). Publishes nothing.
local call, answer = redis.call, {}
for i, id in ipairs(ARGV) do
  local key = keys.task(id)
  local values = call('HMGET', key, 's', 'q', 'd', 'o', 'n', 'u', 't', 'ro', 'ra', 'dp')
  local status, rank = values[1], nil
  if status == 'queued' then rank = call('ZRANK', keys.turns(values[2]), id) end
  if values[3] or status ~= 'queued' and status ~= 'scheduled' then
    for _, value in ipairs(call('HMGET', key, 'a', 'g', 'e', 'ds', 'b', 'f', 'x', 'r')) do values[#values + 1] = value end
  end
  values[#values + 1] = rank and rank + 1 or 0
  answer[i] = values
end
return answer
