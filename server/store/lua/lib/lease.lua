--- @include "allowed_when_full"
--- @include "clock"
local function lease_due(index, limit, lease_ms)
  local now = now_ms()
  local answer = {now + tonumber(lease_ms)}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, 0, now, 'LIMIT', 0, limit)) do
    redis.call('ZADD', index, answer[1], id)
    answer[#answer + 1] = id
  end
  return answer
end

