-- Take webhooks that are due, for a while: most, lease ms. Answers the end of the lease, which is also the proof that
-- the taker still has them, and the ids. What is not noted until then (webhooks_note.lua) is due again.
local lease = now_ms() + tonumber(ARGV[2])
local answer = {lease}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'webhooks', 0, lease - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', 'webhooks', lease, id)
  answer[#answer + 1] = id
end
return answer
