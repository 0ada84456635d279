-- Count all tasks by status, from the sizes of the indexes.
-- Input: from (an id, exclusive; '+': the newest), to (an id; '-'), owners, types, statuses in the form of `selection`.
-- Output: status, number, status, number… Publishes nothing.
--- @include "selection"
local counts, answer = {}, {}
local from = ARGV[1] == '+' and '+' or '(' .. ARGV[1]
local to = ARGV[2] == '-' and '-' or '[' .. ARGV[2]
each_index(ARGV[3], ARGV[4], ARGV[5], function(index, status)
  local count
  if from == '+' and to == '-' then
    count = redis.call('ZCARD', index)
  else
    count = redis.call('ZLEXCOUNT', index, to, from)
  end
  counts[status] = (counts[status] or 0) + count
end)
for status, count in pairs(counts) do
  answer[#answer + 1] = status
  answer[#answer + 1] = count
end
return answer
