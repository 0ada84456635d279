-- Count all tasks by status, from the sizes of the indexes.
-- Input: from (an id, exclusive; '+': the newest), to (an id; '-'), owners, types, statuses in the form of `selection`.
-- Output: a number by status (JSON). Publishes nothing.
--- @include "selection"
local counts = {}
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
return cjson.encode(counts)
