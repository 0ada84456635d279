-- Number of recorded runs of a schedule, and so the maximum number of unfinished ones.
local MAX_RUNS = 10

-- The newest unfinished run of a schedule, and the number of unfinished ones. The former is one that a client has
-- started (with the fire time 0) only if no other is unfinished: the others wait for each other, one after the other.
local function unfinished_runs(schedule)
  local newest, newest_fired, count = nil, nil, 0
  for _, line in ipairs(redis.call('LRANGE', keys.schedule_runs(schedule), 0, MAX_RUNS - 1)) do
    local id, fire_time = string.match(line, '^(%S+) (%S+)')
    local record = redis.call('HMGET', keys.task(id), 's', 'f')
    if record[1] and not record[2] then
      newest, count = newest or id, count + 1
      if fire_time ~= '0' then newest_fired = newest_fired or id end
    end
  end
  return newest_fired or newest, count
end

-- Set the next fire time of a schedule (ms; 0: never again). A schedule that was paused or deleted meanwhile stays so.
local function set_fire_time(schedule, next)
  if next > 0 then
    redis.call('ZADD', keys.fire_times, 'XX', next, schedule)
  else
    redis.call('ZREM', keys.fire_times, schedule)
  end
end

