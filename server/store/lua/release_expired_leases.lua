-- Queue the tasks again whose lease has run out; those whose workers have died before, after a wait.
-- Input: maximum number, crashes to add for the death of a worker, maximum crashes, error (JSON) of a task that reaches
-- it, error (JSON) of a task that waits.
-- Output: id, type, new status ('' where the record is gone or has ended) of each: fewer than the maximum means that
-- none is left. Publishes each status.
--- @include "allowed_when_full"
--- @include "record"
--- @include "release"
local now, answer = now_ms(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, 0, now, 'LIMIT', 0, ARGV[1])) do
  local record = load(id)
  local status = ''
  if is_running(record) then
    -- A worker that was stopping was killed by its platform, whatever it ran.
    local stopping = redis.call('EXISTS', keys.draining(string.match(record.w or '', '^[^/]*'))) == 1
    status = release(id, record, now, 'lost', stopping and 0 or ARGV[2], unpack(ARGV, 3))
  else
    redis.call('ZREM', keys.leases, id)
  end
  for _, each in ipairs({id, record.n or '', status}) do answer[#answer + 1] = each end
end
return answer
