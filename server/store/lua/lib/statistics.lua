--- @include "clock"
local WEEK_SECONDS = 694800  -- and an hour

-- The parts of counters' names that depend on the time. They are cached, because writing a number takes half as long as
-- a command.
local parts = {}

local function parts_at(now)
  if parts.now ~= now then
    local hour = tostring(math.floor(now / 3600000))
    local step, minute = math.floor(now / 300000) % 12 .. ':', math.floor(now / 60000) % 60 .. ':'
    parts = {now = now, hour = hour, step = step, minute = minute}
  end
  return parts
end

-- Statistics of the last day: a hash per hour with `<minute>:<queue>:<status>` and `run:<type>:<bucket>`.
local function count_in_hour(now, name)
  local key = keys.hour(parts_at(now).hour)
  if redis.call('HINCRBY', key, name, 1) == 1 then redis.call('EXPIRE', key, 90000) end
end

-- Run times in buckets, four for each doubling: bucket n counts those of up to 2^(n/4) ms.
local function time_bucket(ms)
  return math.max(0, math.ceil(4 * math.log(math.max(1, ms)) / math.log(2)))
end

-- Sum up the hours before this one for the week; their details expire after a day.
local function sum_up_hours_before(hour)
  for before = hour - 1, hour - 24, -1 do
    if redis.call('EXISTS', keys.flow(before)) == 1 and redis.call('EXISTS', keys.week(before)) == 0 then
      local counters = redis.call('HGETALL', keys.flow(before))
      for i = 1, #counters, 2 do
        redis.call('HINCRBY', keys.week(before), string.match(counters[i], ':(.*)'), counters[i + 1])
      end
      redis.call('EXPIRE', keys.week(before), WEEK_SECONDS)
      redis.call('EXPIRE', keys.flow(before), 90000)
    end
  end
end

-- Maximum number of fields of an hour: further names are counted as `*`.
local MAX_FLOW_FIELDS = 5000

local function add_to_flow(hour, step, name, counter, number)
  local key = keys.flow(hour)
  local field = step .. name .. ':' .. counter
  if redis.call('HINCRBY', key, field, number) ~= number then return end
  local fields = redis.call('HLEN', key)
  if fields == 1 then
    redis.call('EXPIRE', key, WEEK_SECONDS)
    sum_up_hours_before(hour)
  elseif fields > MAX_FLOW_FIELDS and name ~= '*' then
    redis.call('HDEL', key, field)
    redis.call('HINCRBY', key, step .. '*:' .. counter, number)
  end
end

-- Arrivals, starts, waits and ends by task type and owner, in steps of five minutes.
local function count_flow(now, task_type, owner, counter, number)
  local at = parts_at(now)
  add_to_flow(at.hour, at.step .. 't:', task_type, counter, number)
  add_to_flow(at.hour, at.step .. 'o:', owner, counter, number)
end

-- Add a duration to the histogram of a task type: bucket n is that of the n-th bound, the last one has none.
local function observe(measure, task_type, ms)
  local bucket = 1
  while config.histogram_ms[bucket] and ms > config.histogram_ms[bucket] do bucket = bucket + 1 end
  local name = measure .. ':' .. task_type .. ':'
  redis.call('HINCRBY', keys.histograms, name .. bucket, 1)
  redis.call('HINCRBY', keys.histograms, name .. 'ms', ms)
end

-- A task begins: its wait in the queue is over. Bucket n counts waits of up to 2^n ms; the first one is that of 32 ms.
local function count_start(now, record, queued_ms)
  local waited = math.max(0, now - queued_ms)
  local bucket = math.ceil(math.log(math.max(32, waited)) / math.log(2) - 1e-9)
  count_flow(now, record.n, record.o, 'waited_' .. bucket, 1)
  observe('wait', record.n, waited)
end

local function count_end(record, to, now)
  count_flow(now, record.n, record.o, to, 1)
  redis.call('HINCRBY', keys.stats, record.n .. ':' .. to, 1)
  count_in_hour(now, parts_at(now).minute .. record.q .. ':' .. to)
end

local function count_run(record, to, now)
  local ms = now - record.b
  if to == 'succeeded' then count_in_hour(now, 'run:' .. record.n .. ':' .. time_bucket(ms)) end
  observe('run', record.n, ms)
  -- A moving average, dominated by about the last ten run times.
  local recent = redis.call('HGET', keys.recent, record.n)
  redis.call('HSET', keys.recent, record.n, math.floor(((recent or ms) * 9 + ms) / 10))
end

