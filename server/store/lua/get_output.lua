-- Read items of a task's output.
-- Input: id, the number of the reader's last item, maximum items, maximum bytes (the first item may exceed it).
-- Output: {number of the last item, of the last one before this attempt, items kept, deliveries, number of the first
-- item of the answer, items}. Publishes nothing.
local id, after, max_items, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local values = redis.call('HMGET', keys.task(id), 'on', 'ob', 'd')
local last, before, deliveries = tonumber(values[1] or 0), tonumber(values[2] or 0), tonumber(values[3] or 0)
local kept = redis.call('LLEN', keys.output(id))
local start = math.max(0, after - (last - kept))
local items, bytes = {}, 0
for _, item in ipairs(redis.call('LRANGE', keys.output(id), start, start + max_items - 1)) do
  bytes = bytes + #item
  if bytes > max_bytes and #items > 0 then break end
  items[#items + 1] = item
end
return {last, before, kept, deliveries, last - kept + start + 1, items}
