-- The newest ids of several indexes, merged: most, from (an id, exclusive; '+': the newest), to (an id; '-'),
-- then the indexes' keys. Each index is in the order of its ids, which is that of submission.
local most, found = tonumber(ARGV[1]), {}
local from = ARGV[2] == '+' and '+' or '(' .. ARGV[2]
local to = ARGV[3] == '-' and '-' or '[' .. ARGV[3]
for i = 4, #ARGV do
  for _, id in ipairs(redis.call('ZREVRANGEBYLEX', ARGV[i], from, to, 'LIMIT', 0, most)) do found[#found + 1] = id end
end
table.sort(found, function(a, b) return a > b end)
return {unpack(found, 1, math.min(most, #found))}
