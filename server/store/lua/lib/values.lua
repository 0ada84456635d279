-- A short input or result is a field of the record, because Redis stores a hash compactly while all values have
-- up to 64 bytes; a longer one has its own key, so that reading a status never reads it.
local MAX_INLINE = 64

local function put_value(id, field, key, value)
  if #value <= MAX_INLINE then
    redis.call('HSET', keys.task(id), field, value)
  else
    redis.call('SET', key, value)
  end
end

