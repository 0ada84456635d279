-- Read the fields of the tasks' status objects.
-- Input: how many fields are read of every task, and how many more of one that was started or has ended; their names,
--   of which the first are `s`, `q` and `d`; ids. Output: for each id its fields, and its position in the queue (1 is
--   next; 0: not queued). Publishes nothing.
local call, answer = redis.call, {}
local always, later = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3 + always + later, #ARGV do
  local key = keys.task(ARGV[i])
  local values = call('HMGET', key, unpack(ARGV, 3, 2 + always))
  local status, queue, deliveries = values[1], values[2], values[3]
  local rank = status == 'queued' and call('ZRANK', keys.turns(queue), ARGV[i])
  if deliveries or status ~= 'queued' and status ~= 'scheduled' then
    for _, value in ipairs(call('HMGET', key, unpack(ARGV, 3 + always, 2 + always + later))) do
      values[#values + 1] = value
    end
  end
  values[#values + 1] = rank and rank + 1 or 0
  answer[#answer + 1] = values
end
return answer
