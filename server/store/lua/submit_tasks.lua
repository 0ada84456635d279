-- Store tasks, each with its index entries and its message, in one step, or none of them. May be sent twice.
-- Input: deadline ms, most unfinished tasks of an owner, most waiting tasks of a queue,
--   most bytes of an owner, owner,
--   digest of the idempotency key ('': none), fingerprint, seconds for which the key is remembered,
--   batch id ('': none), seconds for which it is kept after its end, numbers of its items whose tasks these are ('': all),
--   schedule ('': none), its fire time ms, its next one (0: none), what to do while an earlier run is unfinished
--   ('skip' or 'queue'), 'again' if a task that has been retried is retried again (''), then task by task:
--   id, type, queue, priority, delay ms (0: none), not before ms, cancel after ms (0: never),
--   start within ms (0: at any time), what is done if another task has its key ('': it has none, else 'return',
--   'reject', 'replace' or 'debounce <most ms after the first submit, 0: any>'), input,
--   how many tags, these, how many fields and values, these.
-- Output: {now ms, unfinished tasks of the owner, word or id, then for each task its place in the queue (0: it is
--   scheduled), the word of its refusal, or the task that has its key: 'found <id>' ('return'), 'moved <id>'
--   ('debounce') or 'duplicate <id>' (it is refused)}. The word is 'stored', 'late', 'reused', 'passed' (this fire time has fired
--   already) or 'skipped' (an earlier run is unfinished, or too many are); an id is what an earlier request with the key got,
--   and 'found' follows it if that was an earlier task.
-- Publishes nothing of new tasks, since nobody knows their ids yet, but the status of each task that is replaced, moved or
--   retried.
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

-- The fields of a new record that this script looks at.
local READ = {by = true, dp = true, lb = true, ro = true, uk = true}

local waiting, bytes = {}, bytes_held(owner)
local bytes_before, before = bytes, unfinished
-- The tasks by type and status, and by queue and priority. Whatever they share is written once.
local indexed, queued, places = {}, {}, {}

-- Return the word of a refusal. `replaced` is the record of the task that makes room for this one, if there is one.
local function refused(queue, task_bytes, replaced)
  if unfinished - (replaced and 1 or 0) >= most_per_owner then return 'owner-full' end
  if bytes >= most_bytes or bytes + task_bytes > most_bytes then return string.format('bytes-full %.0f', bytes) end
  waiting[queue] = waiting[queue]
    or redis.call('ZCARD', keys.queued(queue)) + redis.call('ZCARD', keys.throttled_in(queue))
  local leaves = replaced and replaced.s == 'queued' and replaced.q == queue
  if waiting[queue] - (leaves and 1 or 0) >= most_per_queue then return 'queue-full' end
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
  local alike = group(indexed, task.type, status)
  alike[#alike + 1] = id
  for at = task.tags, task.fields - 2 do
    redis.call('ZADD', keys.tagged('', ARGV[at]), 0, id)
    redis.call('ZADD', keys.tagged(owner, ARGV[at]), 0, id)
  end
  if task.cancel_after > 0 then redis.call('ZADD', keys.deadlines, now + task.cancel_after, id) end
  if task.start_within > 0 then redis.call('ZADD', keys.start_deadlines, math.max(due, now) + task.start_within, id) end
  for source in string.gmatch(sources or '', '[^,]+') do redis.call('SADD', keys.dependents(source), id) end
  if task.ro then mark_retried(task.ro, id) end
  if status == 'scheduled' then
    schedule_task(id, due)
  else
    waiting[task.queue] = waiting[task.queue] + 1
    local together = group(queued, task.queue, task.priority)
    together[#together + 1] = id
  end
  unfinished = unfinished + 1
end

local function place(id, queue)
  local rank = redis.call('ZRANK', keys.turns(queue), id)
  return rank and rank + 1 or 0
end

-- List and count what was stored, and publish the messages. Note the places of the queued tasks; of many, which is a
-- batch, whose answer has none, only that they are queued.
local MAX_PLACES = 64

local function publish_stored()
  for _, each in pairs(indexed) do
    local task_type, status = unpack(each.words)
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
    local queue, priority = unpack(each.words)
    enqueue_all(each.ids, queue, priority, owner, now)
    for i, id in ipairs(each.ids) do places[id] = i <= MAX_PLACES and place(id, queue) or places[each.ids[1]] end
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

-- Give a scheduled task the input of this one, and a later time. Return the word of the answer.
local function move(task, id, most_ms)
  local record = redis.call('HMGET', keys.task(id), 'by', 'sw')
  local size = tonumber(task.by or 0)
  local more = size - (record[1] or 0)
  if more > 0 and bytes + more > most_bytes then return string.format('bytes-full %.0f', bytes) end
  bytes = bytes + more
  local due = now + task.delay
  if most_ms > 0 then due = math.min(due, math.max(now, submitted_ms(id) + most_ms)) end
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

-- Store a task, unless another one has its key. Return the word of the answer if it was not stored.
local function take(task)
  local size, replaced = tonumber(task.by or 0), nil
  local retried_as = task.ro and not again and redis.call('HGET', keys.task(task.ro), 'ra')
  if retried_as then return 'retried ' .. retried_as end
  if task.on_conflict ~= '' then
    local id, status = holder_of(keys.unique(owner, task.type, task.uk))
    local most_ms = string.match(task.on_conflict, '^debounce (%d+)$')
    if most_ms then
      if status == 'scheduled' then return move(task, id, tonumber(most_ms)) end
    elseif id and id ~= task.ro then
      if task.on_conflict == 'return' then return 'found ' .. id end
      local waits = status == 'queued' or status == 'scheduled' or status == 'retrying'
      if task.on_conflict ~= 'replace' or not waits then return 'duplicate ' .. id end
      replaced = id
    end
  end
  local record = replaced and load(replaced)
  local word = refused(task.queue, size, record)
  if word then return word end
  if replaced then replace(replaced, record) end
  store(task)
  bytes = bytes + size
end

-- Return the task whose arguments begin at `i`, and the beginning of the next one's. Of its tags and fields, it has the
-- places in ARGV.
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

-- Each task of a batch has its id, or the word of its answer, in `ids`. A repeated call gets the first answer.
local known = batch ~= '' and redis.call('HGET', keys.batch(batch), 'ids')
if known then
  local answer = {now, unfinished, 'stored'}
  for line in string.gmatch(known, '[^,]+') do
    local task = tasks[#answer - 2]
    answer[#answer + 1] = line == task.id and tostring(place(line, task.queue)) or line
  end
  return answer
end
if batch ~= '' then redis.call('HSET', keys.batch(batch), 'left', #tasks) end  -- one may end here: it is replaced

local answer, stored, lines, words, found = {now, 0, 'stored'}, 0, {}, {}, nil
for at, task in ipairs(tasks) do
  local word
  if not (repeated and exists(task.id)) then
    word = take(task)
    if not word then stored = stored + 1 end
  end
  found = word and string.match(word, '^found (.*)')
  lines[at] = not word and task.id or found or string.match(word, '^moved (.*)') or ''
  words[at] = word or task.id
  answer[at + 3] = word
end

publish_stored()
count_bytes(owner, bytes - bytes_before)
for at, task in ipairs(tasks) do
  answer[at + 3] = answer[at + 3] or tostring(places[task.id] or repeated and place(task.id, task.queue) or 0)
end
if schedule ~= '' and (stored > 0 or found) then
  set_fire_time(schedule, tonumber(ARGV[14]))
  redis.call('HDEL', keys.schedule(schedule), 'error')
  if found then
    redis.call('HINCRBY', keys.schedule(schedule), 'skipped', 1)
  else
    redis.call('LPUSH', keys.schedule_runs(schedule), lines[1] .. ' ' .. ARGV[13])
    redis.call('LTRIM', keys.schedule_runs(schedule), 0, MAX_RUNS - 1)
  end
end
if batch ~= '' then
  redis.call('HSET', keys.batch(batch), 'o', owner, 'ids', table.concat(words, ','), 'at', ARGV[11], 'life', ARGV[10])
  redis.call('PERSIST', keys.batch(batch))
  if redis.call('HINCRBY', keys.batch(batch), 'left', stored - #tasks) == 0 then end_batch(batch, now) end
end
local first = batch ~= '' and batch or lines[1]
if digest ~= '' and first and first ~= '' then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', first)
  if found and batch == '' then redis.call('HSET', key, 'found', 1) end
  redis.call('EXPIRE', key, ARGV[8])
end
answer[2] = unfinished
return answer
