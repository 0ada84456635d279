-- The indexes that a list or a count reads, from three comma-separated lists: owners ('' means all), types (empty: all
-- that were ever submitted, also those that are no longer registered), statuses.
local function words(text)
  local found = {}
  for word in string.gmatch(text, '[^,]+') do found[#found + 1] = word end
  return found
end

local function each_index(owners, types, statuses, act)
  owners = owners == '' and {''} or words(owners)
  types = types == '' and redis.call('SMEMBERS', keys.types) or words(types)
  for _, status in ipairs(words(statuses)) do
    for _, owner in ipairs(owners) do
      for _, task_type in ipairs(types) do act(keys.index(owner, task_type, status), status) end
    end
  end
end

