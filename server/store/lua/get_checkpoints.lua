-- What attempts of a task have noted. A task that is a retry begins with what the old one has noted.
-- Input: id. Output: keys and values. Publishes nothing.
--- @include "when_full"
allow_when_full()
local id = ARGV[1]
if redis.call('EXISTS', keys.checkpoints(id)) == 0 then
  local old = redis.call('HGET', keys.task(id), 'ro')
  if old then redis.call('COPY', keys.checkpoints(old), keys.checkpoints(id)) end
end
return redis.call('HGETALL', keys.checkpoints(id))
