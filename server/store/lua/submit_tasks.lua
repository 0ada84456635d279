-- Store tasks, each with its index entries and its message, in one step, or none of them. May be sent twice.
-- Input: deadline ms, most unfinished tasks of an owner, most waiting tasks of a queue,
--   most bytes of an owner, owner,
--   digest of the idempotency key ('': none), fingerprint, seconds for which the key is remembered,
--   batch id ('': none), seconds for which it is remembered, numbers of its items whose tasks these are ('': all),
--   schedule ('': none), its fire time ms, its next one (0: none), what to do while an earlier run is unfinished
--   ('skip' or 'queue'), 'again' if a task that has been retried is retried again (''), then task by task:
--   id, type, queue, priority, delay ms (0: none), not before ms, cancel after ms (0: never),
--   start within ms (0: at any time), input,
--   how many tags, these, how many fields and values, these.
-- Output: {now ms, unfinished tasks of the owner, word or id, then for each task its place in the queue (0: it is
--   scheduled) or the word of its refusal}. The word is 'stored', 'late', 'reused', 'passed' (this fire time has fired
--   already) or 'skipped' (an earlier run is unfinished, or too many are); an id is what an earlier request with the key got.
-- Publishes the status of each task that is retried. Nobody knows the new ids yet.
--- @include "bytes"
--- @include "clock"
--- @include "followers"
--- @include "ids"
--- @include "indexes"
--- @include "messages"
--- @include "schedules"
--- @include "statistics"
--- @include "values"
local FIRST = 17
local deadline, most_per_owner, most_per_queue = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most_bytes, owner, digest, fingerprint, batch = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[9]
local again = ARGV[16] == 'again'
local key = keys.idempotency(owner, digest)
local now = now_ms()
local unfinished = tonumber(redis.call('HGET', keys.unfinished, owner) or 0)

local function exists(id) return redis.call('EXISTS', keys.task(id)) == 1 end

-- The client gave up before this script ran (Redis hung) and has its 503, so nothing may be stored. A call that is
-- repeated because its answer was lost may be late: its tasks are stored already.
if now > deadline and (not ARGV[FIRST] or not exists(ARGV[FIRST])) then
  return {now, unfinished, 'late'}
end
if digest ~= '' then
  local first = redis.call('HMGET', key, 'fingerprint', 'id')
  if first[2] then
    return {now, unfinished, first[1] == fingerprint and first[2] or 'reused'}
  end
end

-- A schedule fires once for each fire time: the step that stores the task advances the schedule.
local schedule, fire_time, earlier = ARGV[12], tonumber(ARGV[13]), nil
if schedule ~= '' and not exists(ARGV[FIRST]) then
  if tonumber(redis.call('ZSCORE', keys.fire_times, schedule) or 0) ~= fire_time then
    return {now, unfinished, 'passed'}
  end
  local count
  earlier, count = unfinished_runs(schedule)
  -- Late runs that fire together are queued one after the other: no run was unfinished when the second was due.
  local skips = earlier and ARGV[15] == 'skip' and submitted_ms(earlier) < fire_time
  if skips or count == MAX_RUNS then
    set_fire_time(schedule, tonumber(ARGV[14]))
    redis.call('HINCRBY', keys.schedule(schedule), 'skipped', 1)
    return {now, unfinished, 'skipped'}
  end
end

local function field(fields, name)
  for at = 1, #fields, 2 do
    if fields[at] == name then return fields[at + 1] end
  end
end

local waiting, bytes = {}, bytes_held(owner)
local bytes_before = bytes
-- What is written once for all tasks that share it: the tasks of a type and status, and of a queue and priority.
local indexed, queued = {}, {}

local function group(groups, first, second)
  local name = first .. ' ' .. second
  groups[name] = groups[name] or {first = first, second = second, ids = {}}
  return groups[name].ids
end

local function refused(task, task_bytes)
  local queue = task.queue
  task.retry_of = field(task.fields, 'ro')
  local retried_as = task.retry_of and not again and redis.call('HGET', keys.task(task.retry_of), 'ra')
  if retried_as then return 'retried ' .. retried_as end
  if unfinished >= most_per_owner then return 'owner-full' end
  if bytes >= most_bytes or bytes + task_bytes > most_bytes then return string.format('bytes-full %.0f', bytes) end
  waiting[queue] = waiting[queue]
    or redis.call('ZCARD', keys.queued(queue)) + redis.call('ZCARD', keys.throttled_in(queue))
  if waiting[queue] >= most_per_queue then return 'queue-full' end
end

-- The step that stores a retry marks the earlier task, so that a second one finds it retried.
local function mark_retried(earlier_id, id)
  if not exists(earlier_id) then return end
  redis.call('HSET', keys.task(earlier_id), 'ra', id)
  redis.call('PUBLISH', keys.task(earlier_id), redis.call('HGET', keys.task(earlier_id), 's'))
end

local function schedule_task(id, due)
  if earlier then
    redis.call('HSET', keys.task(id), 'u', fire_time)
    follow(earlier, id)
  else
    if due > now then redis.call('HSET', keys.task(id), 'u', due) end
    -- A task that waits for others is checked by maintenance next, then at their ends.
    redis.call('ZADD', keys.due, math.max(due, now), id)
  end
end

local function store(task)
  local id, due = task.id, math.max(task.delay > 0 and now + task.delay or 0, task.not_before)
  local sources = field(task.fields, 'dp')  -- the unfinished tasks whose files it needs, separated by commas
  local status = (due > now or earlier or sources) and 'scheduled' or 'queued'
  if #task.input <= MAX_INLINE then
    table.insert(task.fields, 'i')
    table.insert(task.fields, task.input)
  else
    redis.call('SET', keys.input(id), task.input)
  end
  redis.call('HSET', keys.task(id), 'o', owner, 'n', task.type, 'q', task.queue, 's', status, unpack(task.fields))
  table.insert(group(indexed, task.type, status), id)
  for _, tag in ipairs(task.tags) do
    redis.call('ZADD', keys.tagged('', tag), 0, id)
    redis.call('ZADD', keys.tagged(owner, tag), 0, id)
  end
  if task.cancel_after > 0 then redis.call('ZADD', keys.deadlines, now + task.cancel_after, id) end
  if task.start_within > 0 then redis.call('ZADD', keys.start_deadlines, math.max(due, now) + task.start_within, id) end
  for source in string.gmatch(sources or '', '[^,]+') do redis.call('SADD', keys.dependents(source), id) end
  if task.retry_of then mark_retried(task.retry_of, id) end
  if status == 'scheduled' then
    schedule_task(id, due)
  else
    waiting[task.queue] = waiting[task.queue] + 1
    table.insert(group(queued, task.queue, task.priority), id)
  end
  unfinished = unfinished + 1
end

local function place(id, queue)
  local rank = redis.call('ZRANK', keys.queued(queue), id)
  return rank and rank + 1 or 0
end

-- List and count what was stored, and publish the messages. Return the places of the queued tasks; those of one call
-- follow each other.
local function publish_stored()
  for _, each in pairs(indexed) do
    local scored = {}
    for _, id in ipairs(each.ids) do
      scored[#scored + 1] = 0
      scored[#scored + 1] = id
    end
    add_to_index(each.ids[1], owner, each.first, each.second, unpack(scored, 3))
    redis.call('SADD', keys.types, each.first)
    redis.call('HINCRBY', keys.stats, each.first .. ':submitted', #each.ids)
    count_flow(now, each.first, owner, 'arrived', #each.ids)
  end
  local places = {}
  for _, each in pairs(queued) do
    enqueue_all(each.ids, each.first, each.second, now)
    local first = place(each.ids[1], each.first)
    for i, id in ipairs(each.ids) do places[id] = first + i - 1 end
  end
  return places
end

-- Return the task whose arguments begin at `i`, and the beginning of the next one's.
local function task_at(i)
  local tags_from = i + 10
  local fields_from = tags_from + ARGV[i + 9] + 1
  local fields_to = fields_from + ARGV[fields_from - 1] - 1
  return {
    id = ARGV[i], type = ARGV[i + 1], queue = ARGV[i + 2], priority = ARGV[i + 3], delay = tonumber(ARGV[i + 4]),
    not_before = tonumber(ARGV[i + 5]), cancel_after = tonumber(ARGV[i + 6]), start_within = tonumber(ARGV[i + 7]),
    input = ARGV[i + 8],
    tags = {unpack(ARGV, tags_from, fields_from - 2)}, fields = {unpack(ARGV, fields_from, fields_to)},
  }, fields_to + 1
end

local tasks, task_keys, i = {}, {}, FIRST
while i <= #ARGV do
  tasks[#tasks + 1], i = task_at(i)
  task_keys[#task_keys + 1] = keys.task(tasks[#tasks].id)
end
local repeated = #tasks > 0 and redis.call('EXISTS', unpack(task_keys)) > 0  -- a call whose answer was lost

local answer, stored, lines, before = {now, 0, 'stored'}, {}, {}, unfinished
for at, task in ipairs(tasks) do
  local word
  if not (repeated and exists(task.id)) then
    local task_bytes = tonumber(field(task.fields, 'by') or 0)
    word = refused(task, task_bytes)
    if not word then
      store(task)
      bytes = bytes + task_bytes
    end
  end
  if not word then stored[#stored + 1] = task.id end
  lines[at], answer[at + 3] = word and '' or task.id, word
end

local places = publish_stored()
for at, task in ipairs(tasks) do
  answer[at + 3] = answer[at + 3] or tostring(places[task.id] or repeated and place(task.id, task.queue) or 0)
end
if unfinished > before then
  redis.call('HINCRBY', keys.unfinished, owner, unfinished - before)
  count_bytes(owner, bytes - bytes_before)
  if schedule ~= '' then
    set_fire_time(schedule, tonumber(ARGV[14]))
    redis.call('HDEL', keys.schedule(schedule), 'error')
    redis.call('LPUSH', keys.schedule_runs(schedule), stored[1] .. ' ' .. ARGV[13])
    redis.call('LTRIM', keys.schedule_runs(schedule), 0, MAX_RUNS - 1)
  end
end
if batch ~= '' then
  redis.call('HSET', keys.batch(batch), 'o', owner, 'ids', table.concat(lines, ','), 'at', ARGV[11])
  redis.call('EXPIRE', keys.batch(batch), ARGV[10])
end
if digest ~= '' and (#stored > 0 or batch ~= '') then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', batch ~= '' and batch or stored[1])
  redis.call('EXPIRE', key, ARGV[8])
end
answer[2] = unfinished
return answer
