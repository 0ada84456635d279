-- Take one message and note it as taken, in one step: kombu's `unacked` hash and index, as kombu writes them.
-- KEYS: the lists, in the order in which to look; ARGV: the bell of each. Answers {list, message}, or nothing.
for i, list in ipairs(KEYS) do
  local message = redis.call('RPOP', list)
  if message then
    local properties = cjson.decode(message).properties
    local tag, info = properties.delivery_tag, properties.delivery_info
    local t = redis.call('TIME')
    redis.call('ZADD', 'unacked_index', t[1] + t[2] / 1e6, tag)
    redis.call('HSET', 'unacked', tag,
      '[' .. message .. ',' .. cjson.encode(info.exchange) .. ',' .. cjson.encode(info.routing_key) .. ']')
    -- There may be more for others that sleep: ring on.
    if redis.call('EXISTS', list) == 1 and redis.call('EXISTS', ARGV[i]) == 0 then
      redis.call('LPUSH', ARGV[i], 1)
    end
    return {list, message}
  end
end
return false
