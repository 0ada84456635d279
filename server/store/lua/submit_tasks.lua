-- Store tasks, each with its index entries and its message, in one step, or nothing of them.
-- deadline ms, most per owner, most per queue, owner, idempotency key ('': none), fingerprint, its life in s,
-- batch id ('': none), its life in s, which of its items these are ('': all, else numbers from 0, a comma list),
-- schedule ('': none) whose tick this is, tick ms, next tick ms (0: none),
-- what to do while a run of it goes on ('skip' or 'queue'), then task by task:
--   id, kind, queue, rank, due ms (0: now), cancel at ms (0: never), list, message, delivery tag,
--   how many tags, these, how many fields and values, these.
-- Answers {now ms, unfinished tasks of the owner, word or id, then for each task its place in the queue (0: it is
-- scheduled) or the word of its refusal}; may be sent twice. A tick that has fired already is 'passed', one whose
-- earlier run still goes on may be 'skipped'.
local deadline, most_per_owner, most_per_queue = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owner, key, fingerprint, batch = ARGV[4], ARGV[5], ARGV[6], ARGV[8]
local now = now_ms()
local unfinished = tonumber(redis.call('HGET', 'unfinished', owner) or 0)

-- The client gave up before this ran (a server that hung): it has its 503, so nothing may come of it. A call that is
-- sent again because its answer was lost may be late: its tasks are stored already.
if now > deadline and (not ARGV[15] or redis.call('EXISTS', 't:' .. ARGV[15]) == 0) then
  return {now, unfinished, 'late'}
end
if key ~= '' then
  local first = redis.call('HMGET', key, 'fingerprint', 'id')
  if first[2] then
    return {now, unfinished, first[1] == fingerprint and first[2] or 'reused'}
  end
end

-- A tick fires once: the step that stores its task moves the schedule on.
local schedule, tick, earlier = ARGV[11], tonumber(ARGV[12]), nil
if schedule ~= '' and redis.call('EXISTS', 't:' .. ARGV[15]) == 0 then
  if tonumber(redis.call('ZSCORE', 'ticks', schedule) or 0) ~= tick then return {now, unfinished, 'passed'} end
  local count
  earlier, count = unfinished_run(schedule)
  -- Ticks that fire late, one upon the other, line up: no run went on when the second was due.
  local skips = ARGV[14] == 'skip' and earlier and submitted_ms(earlier) < tick
  if skips or count == 10 then  -- as many as `runs:<schedule>` has
    set_tick(schedule, tonumber(ARGV[13]))
    redis.call('HINCRBY', 'schedule:' .. schedule, 'skipped', 1)
    return {now, unfinished, 'skipped'}
  end
end

local waiting, arrived = {}, {}
local function refused(queue)
  if unfinished >= most_per_owner then return 'owner-full' end
  waiting[queue] = waiting[queue] or redis.call('ZCARD', 'queued:' .. queue)
  if waiting[queue] >= most_per_queue then return 'queue-full' end
end

-- The tasks whose files a task takes, where they have not ended: a comma list, or nothing.
local function waits_for(fields)
  for at = 1, #fields, 2 do
    if fields[at] == 'dp' then return fields[at + 1] end
  end
end

local function store(id, kind, queue, rank, due, cancel_at, list, message, tag, tags, fields)
  local sources = waits_for(fields)
  local status = (due > now or earlier or sources) and 'scheduled' or 'queued'
  redis.call('HSET', 't:' .. id, 'o', owner, 'n', kind, 'q', queue, 's', status, unpack(fields))
  redis.call('ZADD', index_key(owner, kind, status), 0, id)
  for _, name in ipairs(tags) do redis.call('ZADD', tag_key(owner, name), 0, id) end
  if cancel_at > 0 then redis.call('ZADD', 'deadlines', cancel_at, id) end
  redis.call('HINCRBY', 'stats', kind .. ':submitted', 1)
  arrived[kind] = (arrived[kind] or 0) + 1
  unfinished = unfinished + 1
  for source in string.gmatch(sources or '', '[^,]+') do redis.call('SADD', 'dependents:' .. source, id) end
  if status == 'scheduled' then
    if earlier or due > now then redis.call('HSET', 't:' .. id, 'u', earlier and tick or due) end
    if earlier then
      follow(earlier, id)
      redis.call('HSET', 't:' .. id, 'hm', cjson.encode({rank, list, message, tag}))
    else
      redis.call('ZADD', 'due', math.max(due, now), id)  -- who waits for others is looked at once, then at their ends
    end
  else
    waiting[queue] = waiting[queue] + 1
    enqueue(id, queue, rank, now, list, message, tag)
  end
end

local function place(id, queue)
  local rank = redis.call('ZRANK', 'queued:' .. queue, id)
  return rank and rank + 1 or 0
end

local answer, i, stored, lines, before = {now, 0, 'stored'}, 15, {}, {}, unfinished
while i <= #ARGV do
  local id, kind, queue = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local tags_from = i + 10
  local fields_from = tags_from + ARGV[i + 9] + 1
  local fields_to = fields_from + ARGV[fields_from - 1] - 1
  local word
  if redis.call('EXISTS', 't:' .. id) == 0 then
    word = refused(queue)
    if not word then
      local tags = {unpack(ARGV, tags_from, fields_from - 2)}
      local fields = {unpack(ARGV, fields_from, fields_to)}
      store(id, kind, queue, tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]),
        ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], tags, fields)
    end
  end
  if not word then stored[#stored + 1] = id end
  lines[#lines + 1] = word and '' or id
  answer[#answer + 1] = word or tostring(place(id, queue))
  i = fields_to + 1
end

for task_type, count in pairs(arrived) do count_flow(now, task_type, owner, 'arrived', count) end
if unfinished > before then
  redis.call('HINCRBY', 'unfinished', owner, unfinished - before)
  redis.call('SADD', 'owners', owner)
  if schedule ~= '' then
    set_tick(schedule, tonumber(ARGV[13]))
    redis.call('HDEL', 'schedule:' .. schedule, 'error')
    redis.call('LPUSH', 'runs:' .. schedule, stored[1] .. ' ' .. ARGV[12])
    redis.call('LTRIM', 'runs:' .. schedule, 0, 9)
  end
end
if batch ~= '' then
  redis.call('HSET', 'batch:' .. batch, 'o', owner, 'ids', table.concat(lines, ','), 'at', ARGV[10])
  redis.call('EXPIRE', 'batch:' .. batch, ARGV[9])
end
if key ~= '' and (#stored > 0 or batch ~= '') then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', batch ~= '' and batch or stored[1])
  redis.call('EXPIRE', key, ARGV[7])
end
answer[2] = unfinished
return answer
