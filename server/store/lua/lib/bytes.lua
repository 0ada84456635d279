-- The bytes that count against an owner's quota: `by` of a record, noted when it is stored, `bo`, noted at its end, and
-- `oy`, those of its output so far.
-- They are given back when the record is deleted.
local function bytes_held(owner) return tonumber(redis.call('HGET', keys.bytes_held, owner) or 0) end

local function count_bytes(owner, number)
  if number == 0 then return end
  if redis.call('HINCRBY', keys.bytes_held, owner, string.format('%.0f', number)) <= 0 then
    redis.call('HDEL', keys.bytes_held, owner)
  end
end
