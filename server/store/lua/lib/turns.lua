-- Turns: within a priority, owners take turns, however many tasks each has waiting (start-time fair queuing). A task
-- gets its turn when it is queued: that of its owner's task before, plus 1 / the owner's weight, but none that has
-- passed. A fetch takes the earliest turn, so that its cost does not grow with the owners. A group is a queue, or the
-- tasks that are throttled in a scope: `keys.turn` has the last turn that was served, `keys.turn_ends` each owner's
-- next one.
local BANDS = {high = 0, normal = 1e12, low = 2e12}

-- In `keys.turns`, the turn of a task that a worker has fetched and not claimed is reduced by this.
local FETCHED = 1e13

local function distance_of(owner)
  return 1 / tonumber(redis.call('HGET', keys.weights, owner) or 1)
end

-- The turn of an owner's next tasks, and the distance between them.
local function next_turns(group, priority, owner, count)
  local distance, member = distance_of(owner), priority .. ':' .. owner
  local served = tonumber(redis.call('HGET', keys.turn(group), priority) or BANDS[priority])
  local first = math.max(served, tonumber(redis.call('ZSCORE', keys.turn_ends(group), member) or 0))
  redis.call('ZADD', keys.turn_ends(group), first + count * distance, member)
  return first, distance
end

-- Note the turn that is served. The entries of owners whose next turn has passed are deleted every 16 turns; until then
-- they do no harm.
local function serve(group, priority, turn)
  local served = tonumber(redis.call('HGET', keys.turn(group), priority) or -1)
  if turn <= served then return end
  redis.call('HSET', keys.turn(group), priority, turn)
  if math.floor(turn / 16) > math.floor(served / 16) then
    redis.call('ZREMRANGEBYSCORE', keys.turn_ends(group), BANDS[priority], turn)
  end
end

-- All turns of a queue begin anew after the last task that waits for one.
local function begin_turns_anew(queue)
  if redis.call('EXISTS', keys.turns(queue)) == 0 then
    redis.call('DEL', keys.turn('queue:' .. queue), keys.turn_ends('queue:' .. queue))
  end
end

-- A task of a queue waits for no turn any more.
local function remove_turn(id, queue)
  redis.call('ZREM', keys.turns(queue), id)
  begin_turns_anew(queue)
end

-- The turn of a queued task that it had when it was queued, whether or not a worker has fetched it; nil: none.
local function turn_of(id, queue)
  local turn = tonumber(redis.call('ZSCORE', keys.turns(queue), id))
  return turn and turn < 0 and turn + FETCHED or turn
end

-- The owner's last task leaves its group before its turn: the next one needs not wait for it.
local function give_up_turn(group, priority, owner, turn)
  local distance, member = distance_of(owner), priority .. ':' .. owner
  local next = tonumber(redis.call('ZSCORE', keys.turn_ends(group), member) or 0)
  if math.abs(next - distance - turn) < distance / 2 then redis.call('ZADD', keys.turn_ends(group), turn, member) end
end

