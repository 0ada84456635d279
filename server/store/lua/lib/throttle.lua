--- @include "messages"
-- Limits of a task type, for all owners together (owner '') or for each owner. A task over a limit waits without a
-- message.

-- Return how many tasks of a type may start now: `most` at the same time, `per_minute` starts per minute (0: any).
local function room(now, task_type, owner, most, per_minute)
  local free = math.huge
  if most > 0 then
    local running = redis.call('ZCARD', keys.index(owner, task_type, 'running'))
    free = most - running - redis.call('ZCARD', keys.index(owner, task_type, 'canceling'))
  end
  if per_minute > 0 then
    local starts = keys.starts(task_type, owner)
    redis.call('ZREMRANGEBYSCORE', starts, 0, now - 60000)
    free = math.min(free, per_minute - redis.call('ZCARD', starts))
  end
  return free
end

local function note_start(now, task_type, owner, attempt)
  redis.call('ZADD', keys.starts(task_type, owner), now, attempt)
  redis.call('PEXPIRE', keys.starts(task_type, owner), 60000)
end

local function group_of(task_type, owner) return 'type:' .. task_type .. ':' .. owner end

-- Set a queued task aside until its type's limit permits it, or its pause ends; its message is dropped. Owners take turns
-- there as well. It keeps both turns if it is set aside again. The record has the field 'tu', too.
local function throttle(id, record, now, owner)
  local priority, turn, there = record.p or 'normal', nil, nil
  local score = redis.call('ZSCORE', keys.queued(record.q), id) or BASES[priority] + now
  if record.tu then
    turn, there = string.match(record.tu, '(%S+) (%S+)')
  else
    turn = turn_of(id, record.q) or BANDS[priority]
    there = next_turns(group_of(record.n, owner), priority, record.o, 1)
    redis.call('HSET', keys.task(id), 'tu', string.format('%.17g %.17g', turn, there))
  end
  redis.call('ZREM', keys.queued(record.q), id)
  remove_turn(id, record.q)
  redis.call('ZADD', keys.throttled_in(record.q), score, id)
  redis.call('ZADD', keys.throttled(record.n, owner), there, id)
  redis.call('SADD', keys.throttles, record.n .. ':' .. owner)
end

