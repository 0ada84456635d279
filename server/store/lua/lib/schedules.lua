-- Number of recorded runs of a schedule, and so the maximum number of unfinished ones.
local MAX_RUNS = 10

-- The newest unfinished run of a schedule, and the number of unfinished ones.
local function unfinished_runs(schedule)
  local newest, count = nil, 0
  for _, line in ipairs(redis.call('LRANGE', keys.schedule_runs(schedule), 0, MAX_RUNS - 1)) do
    local id = string.match(line, '^%S+')
    local record = redis.call('HMGET', keys.task(id), 's', 'f')
    if record[1] and not record[2] then
      newest, count = newest or id, count + 1
    end
  end
  return newest, count
end

-- Set the next fire time of a schedule (ms; 0: never again). A schedule that was paused or deleted meanwhile stays so.
local function set_fire_time(schedule, next)
  if next > 0 then
    redis.call('ZADD', keys.fire_times, 'XX', next, schedule)
  else
    redis.call('ZREM', keys.fire_times, schedule)
  end
end

