-- Those of a kind for which there is room now: kind, owner ('': everyone's), most at once (0: any), starts a minute
-- (0: any), at most so many. Answers ids, which are to be published; until then they count as queued without a
-- message, so that none is lost.
even_when_full()
local kind, owner, most, per_minute = ARGV[1], ARGV[2] ~= '' and ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local held, ids = limit_key('held', kind, owner), {}
local free = math.min(tonumber(ARGV[5]), room(now_ms(), kind, owner, most, per_minute))
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
