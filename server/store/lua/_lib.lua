-- Shared by all scripts: each is sent with this text in front.
-- A record moves from one status to another only through `move`, which keeps the indexes with it.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Redis at `maxmemory` refuses a script at its first write that takes room, but not after a write that takes none.
-- For all that brings an accepted task to its end.
local function even_when_full()
  redis.call('DEL', 'nothing')
end

-- An id begins with the time at which it was made (see `server.store.ids`).
local function submitted_ms(id)
  return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16)
end

local function index_key(owner, kind, status)
  return 'index:' .. owner .. ':' .. kind .. ':' .. status
end

local function tag_key(owner, tag)
  return 'tagged:' .. owner .. ':' .. tag
end

-- Wake one worker that waits for a message of this queue. One ring is enough, whoever fetches rings on.
local function ring(queue)
  if redis.call('EXISTS', 'bell:' .. queue) == 0 then
    redis.call('LPUSH', 'bell:' .. queue, 1)
  end
end

local WEEK_SECONDS = 694800  -- and an hour

-- The hours before this one are summed up for the week: what is kept of them in detail goes after a day.
local function sum_up_hours_before(hour)
  for before = hour - 1, hour - 24, -1 do
    if redis.call('EXISTS', 'flow:' .. before) == 1 and redis.call('EXISTS', 'week:' .. before) == 0 then
      local found = redis.call('HGETALL', 'flow:' .. before)
      for i = 1, #found, 2 do
        redis.call('HINCRBY', 'week:' .. before, string.match(found[i], ':(.*)'), found[i + 1])
      end
      redis.call('EXPIRE', 'week:' .. before, WEEK_SECONDS)
      redis.call('EXPIRE', 'flow:' .. before, 90000)
    end
  end
end

-- Beyond so many fields of an hour, further names are counted as `*`.
local MAX_FLOW_FIELDS = 5000

local function add_to_flow(hour, step, name, what, number)
  local key = 'flow:' .. hour
  local field = step .. name .. ':' .. what
  if redis.call('HINCRBY', key, field, number) ~= number then return end
  local fields = redis.call('HLEN', key)
  if fields == 1 then
    redis.call('EXPIRE', key, WEEK_SECONDS)
    sum_up_hours_before(hour)
  elseif fields > MAX_FLOW_FIELDS and name ~= '*' then
    redis.call('HDEL', key, field)
    redis.call('HINCRBY', key, step .. '*:' .. what, number)
  end
end

-- Arrivals, starts, waits and ends by task type and owner, in steps of five minutes.
local function count_flow(now, task_type, owner, what, number)
  local hour, step = math.floor(now / 3600000), math.floor(now / 300000) % 12
  add_to_flow(hour, step .. ':t:', task_type, what, number)
  add_to_flow(hour, step .. ':o:', owner, what, number)
end

-- A task begins: its wait in the queue is over.
local function count_start(now, record, queued_ms)
  count_flow(now, record.n, record.o, 'started', 1)
  count_flow(now, record.n, record.o, 'waited_ms', math.max(0, now - queued_ms))
end

-- Note the new status everywhere, and tell those who wait; more fields and values of the record may follow.
local function move(id, owner, kind, from, to, ...)
  redis.call('HSET', 't:' .. id, 's', to, ...)
  if from then redis.call('ZREM', index_key(owner, kind, from), id) end
  redis.call('ZADD', index_key(owner, kind, to), 0, id)
  redis.call('PUBLISH', 't:' .. id, to)
end

-- Put a record among the queued ones, and its message (where the broker is this Redis) into the queue.
local function enqueue(id, queue, rank, now, list, message, tag)
  redis.call('ZADD', 'queued:' .. queue, rank * 1e13 + now, id)
  if list ~= '' then
    redis.call('HSET', 't:' .. id, 'm', tag)
    redis.call('LPUSH', list, message)
    ring(queue)
  else  -- another broker gets it next, see `server.celery_app.external_broker`
    redis.call('ZADD', 'unpublished', now, id)
  end
end

-- A run of a schedule may wait for an earlier one: `after` has it by the earlier one's id, its `af` is the way back,
-- its `hm` the message that it gets then.
local function follow(earlier, id)
  redis.call('HSET', 'after', earlier, id)
  redis.call('HSET', 't:' .. id, 'af', earlier)
end

-- A task is scheduled no more: the timeline tells that wait from the one in the queue.
local function note_queued(id, now)
  redis.call('HSETNX', 't:' .. id, 'sq', now)
end

-- A run has ended: who waited for it is queued; or, where it was canceled while it waited itself, waits in its place.
local function let_follow(id, now)
  local follower = redis.call('HGET', 'after', id)
  if not follower then return end
  redis.call('HDEL', 'after', id)
  local earlier = redis.call('HGET', 't:' .. id, 'af')
  if earlier and redis.call('HGET', 'after', earlier) == id then return follow(earlier, follower) end
  local owner, kind, status, queue, held = unpack(redis.call('HMGET', 't:' .. follower, 'o', 'n', 's', 'q', 'hm'))
  if status ~= 'scheduled' then return end
  redis.call('HDEL', 't:' .. follower, 'u', 'af', 'hm')
  note_queued(follower, now)
  move(follower, owner, kind, status, 'queued')
  local rank, list, message, tag = unpack(cjson.decode(held))
  enqueue(follower, queue, rank, now, list, message, tag)
end

-- Who waits for a file of this task is looked at by maintenance next (`enqueue_task.lua`), or when it is due itself.
local function tell_dependents(id, now)
  local dependents = redis.call('SMEMBERS', 'dependents:' .. id)
  if #dependents == 0 then return end
  for _, dependent in ipairs(dependents) do redis.call('ZADD', 'due', 'NX', now, dependent) end
  redis.call('DEL', 'dependents:' .. id)
end

-- The latest run of a schedule that has not ended, and how many of the last ones have not.
local function unfinished_run(schedule)
  local latest, count = nil, 0
  for _, line in ipairs(redis.call('LRANGE', 'runs:' .. schedule, 0, -1)) do
    local id = string.match(line, '^%S+')
    local record = redis.call('HMGET', 't:' .. id, 's', 'f')
    if record[1] and not record[2] then latest, count = latest or id, count + 1 end
  end
  return latest, count
end

-- When a schedule is due next (ms; 0: never again). One that was paused or deleted meanwhile stays so.
local function set_tick(schedule, next)
  if next > 0 then
    redis.call('ZADD', 'ticks', 'XX', next, schedule)
  else
    redis.call('ZREM', 'ticks', schedule)
  end
end

-- What ended in the last day: a hash for each hour, `<minute>:<queue>:<status>` and `run:<kind>:<bucket>` in it.
local function count_in_hour(now, name)
  local key = 'hour:' .. math.floor(now / 3600000)
  if redis.call('HINCRBY', key, name, 1) == 1 then redis.call('EXPIRE', key, 90000) end
end

-- Run times in buckets, four to each doubling: bucket n has those of up to 2^(n/4) ms.
local function time_bucket(ms)
  return math.max(0, math.ceil(4 * math.log(math.max(1, ms)) / math.log(2)))
end

-- A run has ended and another is to follow: its start, how long it took, how it ended, and in words why, as a line of
-- `ds`. A task that runs once has no such lines; of one that runs without end the last are kept.
local function note_run(id, record, now, ending, why)
  local lines = redis.call('HGET', 't:' .. id, 'ds')
  why = string.sub(string.gsub(why, '%c', ' '), 1, 200)
  local line = record.b .. ' ' .. now - record.b .. ' ' .. ending .. ' ' .. why
  lines = lines and lines .. '\n' .. line or line
  if #lines > 4000 then lines = string.gsub(lines, '^[^\n]*\n', '', 1) end
  redis.call('HSET', 't:' .. id, 'ds', lines)
end

-- Drop the message that a worker holds for a record.
local function forget_message(record)
  if record.m then
    redis.call('ZREM', 'unacked_index', record.m)
    redis.call('HDEL', 'unacked', record.m)
  end
end

-- End a record: the same for success, failure and cancel. What is done for nothing here is paid for by each task.
local function finish(id, record, to, now, default_ttl, ...)
  local runs = record.s == 'running' or record.s == 'canceling'  -- else it waited since its last run
  local expires = now + tonumber(record.k or default_ttl) * 1000
  redis.call('HDEL', 't:' .. id, 'm', 'u', 'cr', unpack(to == 'failed' and {} or {'e', 'fl'}))  -- of the tries before
  redis.call('ZREM', 'deadlines', id)
  if runs then
    redis.call('ZREM', 'leases', id)
    forget_message(record)
  else
    if record.s == 'scheduled' then note_queued(id, now) end
    redis.call('ZREM', 'due', id)
    redis.call('ZREM', 'queued:' .. record.q, id)
  end
  redis.call('ZADD', 'expiry', expires, id)
  if record.wh then redis.call('ZADD', 'webhooks', now, id) end
  if redis.call('HINCRBY', 'unfinished', record.o, -1) <= 0 then
    redis.call('HDEL', 'unfinished', record.o)
  end
  redis.call('HINCRBY', 'stats', record.n .. ':' .. to, 1)
  count_flow(now, record.n, record.o, to, 1)
  count_in_hour(now, math.floor(now / 60000) % 60 .. ':' .. record.q .. ':' .. to)
  if runs then
    if to == 'succeeded' then count_in_hour(now, 'run:' .. record.n .. ':' .. time_bucket(now - record.b)) end
    redis.call('HINCRBY', 'stats', record.n .. ':ms', now - record.b)
    -- A moving average of run times, of which the last ten or so make the most.
    local recent = redis.call('HGET', 'recent', record.n)
    redis.call('HSET', 'recent', record.n, math.floor(((recent or now - record.b) * 9 + now - record.b) / 10))
  end
  let_follow(id, now)
  tell_dependents(id, now)
  move(id, record.o, record.n, record.s, to, 'f', now, 'x', expires, ...)
end

-- Limits of a kind: `held:<kind>[:<owner>]` has those that wait for room, `started:…` the starts of the last minute.
-- `held` has the names of the former, so that none is forgotten when a kind's limits are others one day.

local function limit_key(what, kind, owner)
  return what .. ':' .. kind .. (owner and ':' .. owner or '')
end

-- How many of a kind run now: everyone's, or one owner's.
local function crowd(kind, owner)
  local count = 0
  for _, name in ipairs(owner and {owner} or redis.call('SMEMBERS', 'owners')) do
    count = count + redis.call('ZCARD', index_key(name, kind, 'running'))
    count = count + redis.call('ZCARD', index_key(name, kind, 'canceling'))
  end
  return count
end

-- How many of a kind may start now: most at once, starts a minute (0: any).
local function room(now, kind, owner, most, per_minute)
  local free = most > 0 and most - crowd(kind, owner) or math.huge
  if per_minute > 0 then
    local started = limit_key('started', kind, owner)
    redis.call('ZREMRANGEBYSCORE', started, 0, now - 60000)
    free = math.min(free, per_minute - redis.call('ZCARD', started))
  end
  return free
end

local function note_start(now, kind, owner, run)
  local started = limit_key('started', kind, owner)
  redis.call('ZADD', started, now, run)
  redis.call('PEXPIRE', started, 60000)
end

-- Set a queued task aside until there is room for its kind; its message is dropped.
local function hold(id, record, now, owner)
  local score = redis.call('ZSCORE', 'queued:' .. record.q, id) or now
  redis.call('ZREM', 'queued:' .. record.q, id)
  local held = limit_key('held', record.n, owner)
  redis.call('ZADD', held, score, id)
  redis.call('SADD', 'held', held)
end

-- Take a queued task out of its queue until a moment; its message is dropped.
local function set_aside(id, record, due)
  redis.call('HSET', 't:' .. id, 'u', due)
  redis.call('ZREM', 'queued:' .. record.q, id)
  redis.call('ZADD', 'due', due, id)
  move(id, record.o, record.n, 'queued', 'scheduled')
end

local function load(id, ...)
  local names = {'o', 'n', 's', 'q', 'p', 'w', 'k', 'b', 'm', 'wh', ...}
  local values = redis.call('HMGET', 't:' .. id, unpack(names))
  local record = {}
  for i, name in ipairs(names) do record[name] = values[i] or nil end
  return record
end
