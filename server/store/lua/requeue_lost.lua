-- Queue tasks again whose message is neither in the queue's lists nor with a worker. Messages leave a list in the order
-- of their entry, so a task that is older than the one whose message is next in its list has none; if the list is
-- empty,
-- no task has one.
-- Input: queue, ms for which a task may be seen without a message, most. Output: ids. Publishes nothing.
--- @include "clock"
--- @include "messages"
--- @include "record"
--- @include "when_full"
allow_when_full()
local queue, now, lost = ARGV[1], now_ms(), {}
local queued = keys.queued(queue)
for priority, base in pairs(BASES) do
  local horizon = now - tonumber(ARGV[2])
  local tail = redis.call('LINDEX', LISTS[priority](queue), -1)
  if tail then
    local score = task_of(tail) and redis.call('ZSCORE', queued, tail)
    horizon = math.min(horizon, (score or base) - base - tonumber(ARGV[2]))
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', queued, base, base + horizon, 'LIMIT', 0, ARGV[3])) do
    local record = load(id)
    if not record.m or redis.call('HEXISTS', keys.unacked, record.m) == 0 then
      if record.s == 'queued' then
        enqueue(id, queue, priority, now)
        lost[#lost + 1] = id
      else
        redis.call('ZREM', queued, id)
      end
    end
  end
end
return lost
