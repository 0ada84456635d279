--- @include "messages"
-- Limits of a task type. Their scope is '' (all tasks of the type), an owner, or the text that the submit has computed
-- from the parameter in `limit_by` (field `lb`, which begins with `=`). A task over a limit, or of a paused type, is
-- throttled: it waits without a message. Maintenance checks each scope with throttled tasks at a time of its own
-- (`keys.throttled_scopes`), so that a round does not grow with the scopes.
local CHECK_MS, VALUE_CHECK_MS = 500, 30000

local function scope_of(id, record, scope_type)
  if scope_type == 'owner' then return record.o end
  if scope_type ~= 'value' then return '' end
  if not record.lb then  -- it was submitted before its type had this limit: such tasks share a scope
    record.lb = '='
    redis.call('HSET', keys.task(id), 'lb', record.lb)
  end
  return record.lb
end

-- Return how many tasks of a type may start now: `max_running` at the same time, `per_minute` starts per minute (0:
-- any).
local function free_slots(now, task_type, scope, max_running, per_minute)
  local free = math.huge
  if max_running > 0 then
    local running = redis.call('ZCARD', keys.index(scope, task_type, 'running'))
    free = max_running - running - redis.call('ZCARD', keys.index(scope, task_type, 'canceling'))
  end
  if per_minute > 0 then
    local starts = keys.starts(task_type, scope)
    redis.call('ZREMRANGEBYSCORE', starts, 0, now - 60000)
    free = math.min(free, per_minute - redis.call('ZCARD', starts))
  end
  return free
end

local function note_start(now, task_type, scope, attempt)
  redis.call('ZADD', keys.starts(task_type, scope), now, attempt)
  redis.call('PEXPIRE', keys.starts(task_type, scope), 60000)
end

-- When maintenance checks a scope again. `set_status` puts forward the scope of a task with a value, so that only a
-- changed limit is noticed later.
local function next_check(now, task_type, scope)
  if string.sub(scope, 1, 1) ~= '=' then return now + CHECK_MS end
  local oldest = redis.call('ZRANGE', keys.starts(task_type, scope), 0, 0, 'WITHSCORES')[2]
  return math.min(now + VALUE_CHECK_MS, oldest and oldest + 60000 or math.huge)
end

local function group_of(task_type, scope) return 'type:' .. task_type .. ':' .. scope end

-- Throttle a queued task until its type's limit permits it, or its pause ends; its message is dropped. Owners take
-- turns there as well. It keeps both turns if it is throttled again.
local function throttle(id, record, now, scope)
  local priority, turn, group_turn = record.p or 'normal', nil, nil
  local score = redis.call('ZSCORE', keys.queued(record.q), id) or BASES[priority] + now
  if record.tu then
    turn, group_turn = string.match(record.tu, '(%S+) (%S+)')
  else
    turn = turn_of(id, record.q) or BANDS[priority]
    group_turn = next_turns(group_of(record.n, scope), priority, record.o, 1)
    redis.call('HSET', keys.task(id), 'tu', string.format('%.17g %.17g', turn, group_turn))
  end
  redis.call('ZREM', keys.queued(record.q), id)
  remove_turn(id, record.q)
  redis.call('ZADD', keys.throttled_in(record.q), score, id)
  redis.call('ZADD', keys.throttled(record.n, scope), group_turn, id)
  redis.call('ZADD', keys.throttled_scopes, 'NX', next_check(now, record.n, scope), record.n .. ':' .. scope)
end

