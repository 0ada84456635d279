-- How many of some tasks are in each status: ids. Those that are gone count as 'expired'.
local counts = {}
for _, id in ipairs(ARGV) do
  local status = redis.call('HGET', 't:' .. id, 's') or 'expired'
  counts[status] = (counts[status] or 0) + 1
end
local answer = {}
for status, count in pairs(counts) do
  answer[#answer + 1] = status
  answer[#answer + 1] = count
end
return answer
