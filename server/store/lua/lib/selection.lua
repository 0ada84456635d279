-- The indexes that a list or a count reads, from three comma-separated lists: owners ('' means all), types (empty: all
-- that were ever submitted, also those that are no longer registered), statuses.
local function split(text)
  local parts = {}
  for part in string.gmatch(text, '[^,]+') do parts[#parts + 1] = part end
  return parts
end

local function each_index(owners, types, statuses, act)
  owners = owners == '' and {''} or split(owners)
  types = types == '' and redis.call('SMEMBERS', keys.types) or split(types)
  for _, status in ipairs(split(statuses)) do
    for _, owner in ipairs(owners) do
      for _, task_type in ipairs(types) do act(keys.index(owner, task_type, status), status) end
    end
  end
end

