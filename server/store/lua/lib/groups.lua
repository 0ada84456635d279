-- Ids by the words that they share, so that what is the same for several is written once. Return the ids of a group.
local function group(groups, first, second, third)
  local name = first .. '\n' .. second .. '\n' .. (third or '')
  if not groups[name] then groups[name] = {words = {first, second, third}, ids = {}} end
  return groups[name].ids
end

