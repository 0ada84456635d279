--- @include "clock"
-- What ended in the last day: a hash for each hour, with `<minute>:<queue>:<status>` and `run:<type>:<bucket>` in it.
local function count_in_hour(now, name)
  local key = keys.hour(math.floor(now / 3600000))
  if redis.call('HINCRBY', key, name, 1) == 1 then redis.call('EXPIRE', key, 90000) end
end

-- Run times in buckets, four to each doubling: bucket n has those of up to 2^(n/4) ms.
local function time_bucket(ms)
  return math.max(0, math.ceil(4 * math.log(math.max(1, ms)) / math.log(2)))
end

local function count_end(record, to, now)
  redis.call('HINCRBY', keys.stats, record.n .. ':' .. to, 1)
  count_in_hour(now, math.floor(now / 60000) % 60 .. ':' .. record.q .. ':' .. to)
end

local function count_run(record, to, now)
  local ms = now - record.b
  if to == 'succeeded' then count_in_hour(now, 'run:' .. record.n .. ':' .. time_bucket(ms)) end
  redis.call('HINCRBY', keys.stats, record.n .. ':ms', ms)
  -- A moving average, of which the last ten run times or so make the most.
  local recent = redis.call('HGET', keys.recent, record.n)
  redis.call('HSET', keys.recent, record.n, math.floor(((recent or ms) * 9 + ms) / 10))
end

