-- Add up the values of a hash.
-- Input: its key. Output: the sum, as text. Publishes nothing.
local sum = 0
for _, value in ipairs(redis.call('HVALS', ARGV[1])) do sum = sum + value end
return string.format('%.0f', sum)
