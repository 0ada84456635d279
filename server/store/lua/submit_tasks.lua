-- Store tasks, each with its index entries and its message, in one step, or none of them. May be sent twice.
-- Input: deadline ms, maximum unfinished tasks of an owner, maximum waiting tasks of a queue,
--   maximum bytes of an owner, owner,
--   digest of the idempotency key ('': none), fingerprint, seconds for which the key is stored,
--   batch id ('': none), seconds for which it is kept after its end,
--   numbers of its items whose tasks these are ('': all),
--   schedule ('': none), its fire time ms, its next one (0: none), the action while an earlier run is unfinished
--   ('skip' or 'queue'), 'again' if a task that has been retried is retried again (''), then task by task:
--   id, type, queue, priority, delay ms (0: none), not before ms, cancel after ms (0: never),
--   start within ms (0: at any time), the action if another task has its key ('': it has none, else 'return',
--   'reject', 'replace' or 'debounce <maximum ms after the first submit, 0: any>'), input,
--   number of tags, tags, number of fields and values, fields and values.
-- Output: {now ms, unfinished tasks of the owner, outcome or id, then for each task its position in the queue (0: it is
--   scheduled), the reason of its refusal, or the task that has its key: 'found <id>' ('return'), 'moved <id>'
--   ('debounce') or 'duplicate <id>' (it is refused)}. The outcome is 'stored', 'late', 'reused', 'passed' (this fire
--   time has fired already) or 'skipped' (an earlier run is unfinished, or too many are); an id is that of an earlier
--   request with the key, and 'found' follows it if that request got an existing task.
-- Publishes nothing of new tasks, since nobody knows their ids yet, but the status of each task that is replaced, moved
--   or retried.
--- @include "batch"
--- @include "bytes"
--- @include "clock"
--- @include "finish"
--- @include "followers"
--- @include "groups"
--- @include "ids"
--- @include "indexes"
--- @include "messages"
--- @include "record"
--- @include "schedules"
--- @include "statistics"
--- @include "unique"
--- @include "values"
local FIRST = 17
local deadline, max_per_owner, max_per_queue = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local max_bytes, owner, digest, fingerprint, batch = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[9]
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
  local first = redis.call('HMGET', key, 'fingerprint', 'id', 'found')
  if first[2] and first[1] ~= fingerprint then return {now, unfinished, 'reused'} end
  if first[2] and first[2] ~= batch then return {now, unfinished, first[2], first[3] and 'found' or nil} end
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

-- The fields of a new record that this script reads.
local READ = {by = true, dp = true, lb = true, ro = true, uk = true}

local waiting, bytes = {}, bytes_held(owner)
local bytes_before, before = bytes, unfinished
-- The tasks by type and status, and by queue and priority. Their common values are written once.
local indexed, queued, positions = {}, {}, {}

-- Return why a task is refused, or nil. `replaced` is the record of the task that it replaces, if there is one.
local function refusal(queue, task_bytes, replaced)
  if unfinished - (replaced and 1 or 0) >= max_per_owner then return 'owner-full' end
  if bytes >= max_bytes or bytes + task_bytes > max_bytes then return string.format('bytes-full %.0f', bytes) end
  waiting[queue] = waiting[queue]
    or redis.call('ZCARD', keys.queued(queue)) + redis.call('ZCARD', keys.throttled_in(queue))
  local leaves = replaced and replaced.s == 'queued' and replaced.q == queue
  if waiting[queue] - (leaves and 1 or 0) >= max_per_queue then return 'queue-full' end
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

-- Note that a task waits for the end of another one, unless that has ended since the request was read: nothing would
-- delete the entry.
local function await_end(source, id)
  local status = redis.call('HGET', keys.task(source), 's')
  if status and not ENDED[status] then redis.call('SADD', keys.dependents(source), id) end
end

-- Write the record: these fields and values, the input, and the fields that came with the task.
local function write(task, ...)
  local named = {...}
  put_value(named, 'i', keys.input(task.id), task.input)
  for at = task.fields, task.last do named[#named + 1] = ARGV[at] end
  redis.call('HSET', keys.task(task.id), unpack(named))
end

local function store(task)
  local id, due = task.id, math.max(task.delay > 0 and now + task.delay or 0, task.not_before)
  local sources = task.dp  -- the unfinished tasks whose files it needs, separated by commas
  local status = (due > now or earlier or sources) and 'scheduled' or 'queued'
  if task.on_conflict ~= '' then redis.call('SET', keys.unique(owner, task.type, task.uk), id) end
  write(task, 'o', owner, 'n', task.type, 'q', task.queue, 's', status)
  local indexed_ids = group(indexed, task.type, status)
  indexed_ids[#indexed_ids + 1] = id
  for at = task.tags, task.fields - 2 do
    redis.call('ZADD', keys.tagged('', ARGV[at]), 0, id)
    redis.call('ZADD', keys.tagged(owner, ARGV[at]), 0, id)
  end
  if task.cancel_after > 0 then redis.call('ZADD', keys.deadlines, now + task.cancel_after, id) end
  if task.start_within > 0 then redis.call('ZADD', keys.start_deadlines, math.max(due, now) + task.start_within, id) end
  for source in string.gmatch(sources or '', '[^,]+') do await_end(source, id) end
  if task.ro then mark_retried(task.ro, id) end
  if status == 'scheduled' then
    schedule_task(id, due)
  else
    waiting[task.queue] = waiting[task.queue] + 1
    local queued_ids = group(queued, task.queue, task.priority)
    queued_ids[#queued_ids + 1] = id
  end
  unfinished = unfinished + 1
end

local function position_of(id, queue)
  local rank = redis.call('ZRANK', keys.turns(queue), id)
  return rank and rank + 1 or 0
end

-- Index and count the stored tasks, and publish their messages. Note the position of each queued
-- task. After `MAX_POSITIONS` of a queue (they are a batch, whose answer shows no positions), note the first one's
-- instead.
local MAX_POSITIONS = 64

local function publish_stored()
  for _, each in pairs(indexed) do
    local task_type, status = unpack(each.key)
    local scored = {}
    for _, id in ipairs(each.ids) do
      scored[#scored + 1] = 0
      scored[#scored + 1] = id
    end
    add_to_index(each.ids[1], owner, task_type, status, unpack(scored, 3))
    local submitted = redis.call('HINCRBY', keys.stats, task_type .. ':submitted', #each.ids)
    if submitted == #each.ids then redis.call('SADD', keys.types, task_type) end
    count_flow(now, task_type, owner, 'arrived', #each.ids)
  end
  for _, each in pairs(queued) do
    local queue, priority = unpack(each.key)
    enqueue_all(each.ids, queue, priority, owner, now)
    for i, id in ipairs(each.ids) do
      positions[id] = i <= MAX_POSITIONS and position_of(id, queue) or positions[each.ids[1]]
    end
  end
  if unfinished > before then redis.call('HINCRBY', keys.unfinished, owner, unfinished - before) end
  indexed, queued, before = {}, {}, unfinished
end

local function replace(id, record)
  publish_stored()  -- it may be a task of this call
  finish(id, record, 'canceled', now)
  unfinished, before = unfinished - 1, before - 1
  if record.s == 'queued' and waiting[record.q] then waiting[record.q] = waiting[record.q] - 1 end
end

-- Give a scheduled task the input of this one, and a later time. Return its outcome.
local function move(task, id, max_ms)
  local record = redis.call('HMGET', keys.task(id), 'by', 'sw')
  local size = tonumber(task.by or 0)
  local more = size - (record[1] or 0)
  if more > 0 and bytes + more > max_bytes then return string.format('bytes-full %.0f', bytes) end
  bytes = bytes + more
  local due = now + task.delay
  if max_ms > 0 then due = math.min(due, math.max(now, submitted_ms(id) + max_ms)) end
  redis.call('HDEL', keys.task(id), 'i')
  redis.call('UNLINK', keys.input(id))
  local fields = {'u', due, 'by', size}
  put_value(fields, 'i', keys.input(id), task.input)
  redis.call('HSET', keys.task(id), unpack(fields))
  redis.call('ZADD', keys.due, due, id)
  if task.lb then redis.call('HSET', keys.task(id), 'lb', task.lb) end
  if record[2] then redis.call('ZADD', keys.start_deadlines, due + record[2], id) end
  redis.call('PUBLISH', keys.task(id), 'scheduled')
  return 'moved ' .. id
end

-- Store a task, unless another one has its key. Return its outcome if it was not stored.
local function submit(task)
  local size, replaced = tonumber(task.by or 0), nil
  local retried_as = task.ro and not again and redis.call('HGET', keys.task(task.ro), 'ra')
  if retried_as then return 'retried ' .. retried_as end
  if task.on_conflict ~= '' then
    local id, status = task_with_key(keys.unique(owner, task.type, task.uk))
    local max_ms = string.match(task.on_conflict, '^debounce (%d+)$')
    if max_ms then
      if status == 'scheduled' then return move(task, id, tonumber(max_ms)) end
    elseif id and id ~= task.ro then
      if task.on_conflict == 'return' then return 'found ' .. id end
      local waits = status == 'queued' or status == 'scheduled' or status == 'retrying'
      if task.on_conflict ~= 'replace' or not waits then return 'duplicate ' .. id end
      replaced = id
    end
  end
  local record = replaced and load(replaced)
  local outcome = refusal(task.queue, size, record)
  if outcome then return outcome end
  if replaced then replace(replaced, record) end
  store(task)
  bytes = bytes + size
end

-- Return the task whose arguments begin at `i`, and the beginning of the next one's. Its `tags` and `fields` are
-- positions in ARGV.
local function task_at(i)
  local fields = i + 12 + ARGV[i + 10]
  local last = fields + ARGV[fields - 1] - 1
  local task = {
    id = ARGV[i], type = ARGV[i + 1], queue = ARGV[i + 2], priority = ARGV[i + 3], delay = tonumber(ARGV[i + 4]),
    not_before = tonumber(ARGV[i + 5]), cancel_after = tonumber(ARGV[i + 6]), start_within = tonumber(ARGV[i + 7]),
    on_conflict = ARGV[i + 8], input = ARGV[i + 9], tags = i + 11, fields = fields, last = last,
  }
  for at = fields, last, 2 do
    if READ[ARGV[at]] then task[ARGV[at]] = ARGV[at + 1] end
  end
  return task, last + 1
end

local tasks, task_keys, i = {}, {}, FIRST
while i <= #ARGV do
  tasks[#tasks + 1], i = task_at(i)
  task_keys[#task_keys + 1] = keys.task(tasks[#tasks].id)
end
local repeated = #tasks > 0 and redis.call('EXISTS', unpack(task_keys)) > 0  -- a call whose answer was lost

-- Each task of a batch has its id, or its outcome, in `ids`. A repeated call gets the first answer.
local stored_outcomes = batch ~= '' and redis.call('HGET', keys.batch(batch), 'ids')
if stored_outcomes then
  local answer = {now, unfinished, 'stored'}
  for line in string.gmatch(stored_outcomes, '[^,]+') do
    local task = tasks[#answer - 2]
    answer[#answer + 1] = line == task.id and tostring(position_of(line, task.queue)) or line
  end
  return answer
end
if batch ~= '' then redis.call('HSET', keys.batch(batch), 'left', #tasks) end  -- one may end here: it is replaced

local answer, stored, task_ids, outcomes, existing = {now, 0, 'stored'}, 0, {}, {}, nil
for at, task in ipairs(tasks) do
  local outcome
  if not (repeated and exists(task.id)) then
    outcome = submit(task)
    if not outcome then stored = stored + 1 end
  end
  existing = outcome and string.match(outcome, '^found (.*)')
  task_ids[at] = not outcome and task.id or existing or string.match(outcome, '^moved (.*)') or ''
  outcomes[at] = outcome or task.id
  answer[at + 3] = outcome
end

publish_stored()
count_bytes(owner, bytes - bytes_before)
for at, task in ipairs(tasks) do
  answer[at + 3] = answer[at + 3] or tostring(positions[task.id] or repeated and position_of(task.id, task.queue) or 0)
end
if schedule ~= '' and (stored > 0 or existing) then
  set_fire_time(schedule, tonumber(ARGV[14]))
  redis.call('HDEL', keys.schedule(schedule), 'error')
  if existing then
    redis.call('HINCRBY', keys.schedule(schedule), 'skipped', 1)
  else
    redis.call('LPUSH', keys.schedule_runs(schedule), task_ids[1] .. ' ' .. ARGV[13])
    redis.call('LTRIM', keys.schedule_runs(schedule), 0, MAX_RUNS - 1)
  end
end
if batch ~= '' then
  local ids = table.concat(outcomes, ',')
  redis.call('HSET', keys.batch(batch), 'o', owner, 'ids', ids, 'at', ARGV[11], 'life', ARGV[10])
  redis.call('PERSIST', keys.batch(batch))
  if redis.call('HINCRBY', keys.batch(batch), 'left', stored - #tasks) == 0 then end_batch(batch, now) end
end
local first = batch ~= '' and batch or task_ids[1]
if digest ~= '' and first and first ~= '' then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', first)
  if existing and batch == '' then redis.call('HSET', key, 'found', 1) end
  redis.call('EXPIRE', key, ARGV[8])
end
answer[2] = unfinished
return answer
