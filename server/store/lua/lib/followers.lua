--- @include "indexes"
--- @include "messages"
-- A run of a schedule may wait for an earlier one: `keys.followers` maps the earlier id to it, and its field `af`
-- points back.
local function follow(earlier, id)
  redis.call('HSET', keys.followers, earlier, id)
  redis.call('HSET', keys.task(id), 'af', earlier)
end

-- Record when a scheduled task was queued, so that the timeline can separate the two waits.
local function note_queued(id, now)
  redis.call('HSETNX', keys.task(id), 'sq', now)
end

-- A run has ended: queue the run that waited for it. If the ended run was canceled while it waited itself, its follower
-- waits instead of it.
local function start_follower(id, now)
  local follower = redis.call('HGET', keys.followers, id)
  if not follower then return end
  redis.call('HDEL', keys.followers, id)
  local fields = redis.call('HMGET', keys.task(follower), 'o', 'n', 's', 'q', 'p')
  local owner, task_type, status, queue, priority = unpack(fields)
  if status ~= 'scheduled' then return end  -- it was canceled, and its record may be deleted
  local earlier = redis.call('HGET', keys.task(id), 'af')
  if earlier and redis.call('HGET', keys.followers, earlier) == id then return follow(earlier, follower) end
  redis.call('HDEL', keys.task(follower), 'u', 'af')
  note_queued(follower, now)
  set_status(follower, {o = owner, n = task_type, s = status}, 'queued')
  enqueue(follower, queue, priority, owner, now)
end

