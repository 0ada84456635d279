-- Ids in groups with the same key of two or three parts, so that each group is written once. Return the ids of a group.
local function group(groups, first, second, third)
  local name = first .. '\n' .. second .. '\n' .. (third or '')
  if not groups[name] then groups[name] = {key = {first, second, third}, ids = {}} end
  return groups[name].ids
end

