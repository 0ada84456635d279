-- Read the checkpoints of a task's attempts. A retry starts with the checkpoints of the earlier task.
-- Input: id. Output: keys and values. Publishes nothing.
--- @include "when_full"
allow_when_full()
local id = ARGV[1]
if redis.call('EXISTS', keys.checkpoints(id)) == 0 then
  local old = redis.call('HGET', keys.task(id), 'ro')
  if old then redis.call('COPY', keys.checkpoints(old), keys.checkpoints(id)) end
end
return redis.call('HGETALL', keys.checkpoints(id))
