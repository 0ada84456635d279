-- Merge the newest ids of several indexes. Each index is in the order of its ids, which is that of submission.
-- Input: maximum number, from (an id, exclusive; '+': the newest), to (an id; '-'), owners, types, statuses in the form
-- of `selection`; or '' and a tag instead of statuses. Output: ids. Publishes nothing.
--- @include "selection"
local limit, newest = tonumber(ARGV[1]), {}
local from = ARGV[2] == '+' and '+' or '(' .. ARGV[2]
local to = ARGV[3] == '-' and '-' or '[' .. ARGV[3]

local function merge(index)
  local ids = redis.call('ZREVRANGEBYLEX', index, from, to, 'LIMIT', 0, limit)
  if #ids == 0 then return end
  for _, id in ipairs(ids) do newest[#newest + 1] = id end
  table.sort(newest, function(a, b) return a > b end)
  for i = #newest, limit + 1, -1 do newest[i] = nil end
  if #newest == limit then to = '(' .. newest[limit] end  -- of the next index, only what is newer than these
end

if ARGV[7] then
  for _, owner in ipairs(ARGV[4] == '' and {''} or split(ARGV[4])) do merge(keys.tagged(owner, ARGV[7])) end
else
  each_index(ARGV[4], ARGV[5], ARGV[6], merge)
end
return newest
