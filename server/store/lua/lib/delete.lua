--- @include "bytes"
--- @include "clock"
--- @include "indexes"
--- @include "record"
-- Delete a finished record. Return true if its files or uploads must still be deleted, which is recorded.
-- Publishes `dropped` on the record's channel.
local function delete(id)
  redis.call('ZREM', keys.expiry, id)
  redis.call('ZREM', keys.webhooks, id)
  redis.call('ZREM', keys.input_expiry, id)
  local record = load(id)
  if not record.s then return false end
  remove_from_index(id, record.o, record.n, record.s)
  count_bytes(record.o, -(record.by or 0) - (record.bo or 0) - (record.oy or 0))
  for _, tag in ipairs(record.t and cjson.decode(record.t) or {}) do
    redis.call('ZREM', keys.tagged('', tag), id)
    redis.call('ZREM', keys.tagged(record.o, tag), id)
  end
  redis.call('UNLINK', keys.task(id), keys.input(id), keys.result(id), keys.events(id), keys.output(id),
    keys.checkpoints(id), keys.dependents(id), keys.reports(id))
  redis.call('PUBLISH', keys.task(id), 'dropped')
  if not record.z and not record.up then return false end
  redis.call('ZADD', keys.uncollected, now_ms(), id)
  return true
end

