-- Count some tasks by status; those without a record count as `expired`.
-- Input: ids. Output: a number by status (JSON). Publishes nothing.
local counts = {}
for _, id in ipairs(ARGV) do
  local status = redis.call('HGET', keys.task(id), 's') or 'expired'
  counts[status] = (counts[status] or 0) + 1
end
return cjson.encode(counts)
