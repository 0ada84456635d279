-- Queue the scheduled and retrying tasks that are due.
-- Input: maximum number, error (JSON) of a task that needs a file of one that did not succeed.
-- Output: the number of tasks read; below the maximum means that none is left. Publishes each status.
--- @include "allowed_when_full"
--- @include "finish"
--- @include "groups"
--- @include "record"
local now = now_ms()
local queued = {}  -- by queue, priority and owner

-- 'wait' while a task whose file it needs has not ended, 'fail' if one is gone or did not succeed.
local function dependencies_state(record)
  local state = 'go'
  for source in string.gmatch(record.dp or '', '[^,]+') do
    local status = redis.call('HGET', keys.task(source), 's')
    if not status or status == 'failed' or status == 'canceled' then return 'fail' end
    if status ~= 'succeeded' then state = 'wait' end
  end
  return state
end

local function queue_or_fail(id, record)
  local state = record.s == 'scheduled' and dependencies_state(record) or 'go'
  if state == 'fail' then
    finish(id, record, 'failed', now, 'e', ARGV[2])
  elseif state == 'go' then
    redis.call('HDEL', keys.task(id), 'u')
    if record.s == 'scheduled' then note_queued(id, now) end
    set_status(id, record, 'queued')
    table.insert(group(queued, record.q, record.p or 'normal', record.o), id)
  end
end

local ids = redis.call('ZRANGEBYSCORE', keys.due, 0, now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZREM', keys.due, id)
  local record = load(id)
  if record.s == 'scheduled' or record.s == 'retrying' then queue_or_fail(id, record) end
end
for _, each in pairs(queued) do
  local queue, priority, owner = unpack(each.key)
  enqueue_all(each.ids, queue, priority, owner, now)
end
return #ids
