-- Those of a kind that may run now that others of it have ended: kind, owner ('': everyone's), most at once (0: any),
-- at most so many. Answers ids, which are to be published; until then they count as queued without a message, so that
-- none is lost.
even_when_full()
local kind, owner, most, batch, ids = ARGV[1], ARGV[2] ~= '' and ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), {}
local held = limit_key('held', kind, owner)
local free = most > 0 and math.min(batch, most - crowd(kind, owner)) or batch
while #ids < free do
  local id, score = unpack(redis.call('ZPOPMIN', held))
  if not id then break end
  local status, queue = unpack(redis.call('HMGET', 't:' .. id, 's', 'q'))
  if status == 'queued' then  -- else it was canceled while it waited
    redis.call('ZADD', 'queued:' .. queue, score, id)
    ids[#ids + 1] = id
  end
end
if redis.call('EXISTS', held) == 0 then redis.call('SREM', 'held', held) end
return ids
