-- A short input or result is a field of the record, because Redis stores a hash compactly while all values have
-- up to 64 bytes; a longer one has its own key, so that reading a status never reads it.
local MAX_INLINE = 64

-- Add a short value to the fields of a record that are written next. Store a longer one.
local function put_value(fields, field, key, value)
  if #value > MAX_INLINE then
    redis.call('SET', key, value)
  else
    fields[#fields + 1], fields[#fields + 2] = field, value
  end
end

