-- Take what is due in an index, for a while: index, most, lease ms. Answers the end of the lease, which is also the
-- proof that the taker still has them, and the ids. What is not done until then is due again.
even_when_full()
local now = now_ms()
local answer = {now + tonumber(ARGV[3])}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ARGV[1], 0, now, 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', ARGV[1], answer[1], id)
  answer[#answer + 1] = id
end
return answer
