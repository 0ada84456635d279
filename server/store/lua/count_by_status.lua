-- Count some tasks by status; those without a record count as `expired`.
-- Input: ids. Output: status, number, status, number… Publishes nothing.
local counts = {}
for _, id in ipairs(ARGV) do
  local status = redis.call('HGET', keys.task(id), 's') or 'expired'
  counts[status] = (counts[status] or 0) + 1
end
local answer = {}
for status, count in pairs(counts) do
  answer[#answer + 1] = status
  answer[#answer + 1] = count
end
return answer
