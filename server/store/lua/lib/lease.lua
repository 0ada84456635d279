--- @include "clock"
--- @include "when_full"
local function lease_due(index, most, lease_ms)
  allow_when_full()
  local now = now_ms()
  local answer = {now + tonumber(lease_ms)}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, 0, now, 'LIMIT', 0, most)) do
    redis.call('ZADD', index, answer[1], id)
    answer[#answer + 1] = id
  end
  return answer
end

