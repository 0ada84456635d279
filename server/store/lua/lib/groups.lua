-- Ids by the words that they share, so that what is the same for several is written once. Return the ids of a group.
local function group(groups, ...)
  local name = table.concat({...}, '\n')
  groups[name] = groups[name] or {words = {...}, ids = {}}
  return groups[name].ids
end

