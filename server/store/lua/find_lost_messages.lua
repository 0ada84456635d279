-- Queued records whose message is neither in the queue nor with a worker: queue, patience ms, most, then the
-- lists of the queue, by rank. Messages leave a list in the order of their entry, so a record that is older than
-- the one whose message is next in its list has none; in an empty list nobody has.
local queue, patience, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now, found = now_ms(), {}
for rank = 0, #ARGV - 4 do
  local base = rank * 1e13
  local horizon = now - patience
  local tail = redis.call('LINDEX', ARGV[4 + rank], -1)
  if tail then
    local ok, message = pcall(cjson.decode, tail)
    local score = ok and redis.call('ZSCORE', 'queued:' .. queue, message.headers.id)
    horizon = math.min(horizon, (tonumber(score or base) - base) - patience)
  end
  local ids = redis.call('ZRANGEBYSCORE', 'queued:' .. queue, base, base + horizon, 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    local tag = redis.call('HGET', 't:' .. id, 'm')
    if not tag or redis.call('HEXISTS', 'unacked', tag) == 0 then found[#found + 1] = id end
  end
end
return found
