-- An input or a result is a field of the record where it is short, for Redis keeps a hash compact while no value in it
-- has more than 64 bytes; else it has a key of its own, so that reading a status never reads it.
local MAX_INLINE = 64

local function put_value(id, field, key, value)
  if #value <= MAX_INLINE then
    redis.call('HSET', keys.task(id), field, value)
  else
    redis.call('SET', key, value)
  end
end

