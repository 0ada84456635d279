-- Read the checkpoints of a task's attempts. A retry starts with the checkpoints of the earlier task, but not its steps
-- (see `server.sdk.steps`).
-- Input: id. Output: keys and values. Publishes nothing.
--- @include "allowed_when_full"
local id = ARGV[1]
if redis.call('EXISTS', keys.checkpoints(id)) == 0 then
  local old = redis.call('HGET', keys.task(id), 'ro')
  local fields = old and redis.call('HGETALL', keys.checkpoints(old)) or {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) ~= 'step:' then
      redis.call('HSET', keys.checkpoints(id), fields[i], fields[i + 1])
    end
  end
end
return redis.call('HGETALL', keys.checkpoints(id))
