--- @include "burst"
--- @include "finish"
--- @include "record"
--- @include "values"
-- End the attempt with this lease; fields and values are the arguments from `first` on. Its message is removed too, so
-- that no acknowledgment is needed. May be called twice: an ended record keeps its lease token.
-- Return 1, or 0 if the attempt has lost its lease, so that its result is dropped. Publishes the status.
local function end_attempt(id, token, to, first)
  local record = load(id)
  if record.w ~= token then
    end_burst(token)
    return 0
  end
  if record.s == to and record.s ~= 'running' then return 1 end
  if record.s ~= 'running' and record.s ~= 'canceling' then return 0 end
  local fields = {}
  for i = first, #ARGV, 2 do
    if ARGV[i] == 'r' then
      put_value(id, 'r', keys.result(id), ARGV[i + 1])
    else
      fields[#fields + 1] = ARGV[i]
      fields[#fields + 1] = ARGV[i + 1]
    end
  end
  finish(id, record, to, now_ms(), unpack(fields))
  end_burst(token)
  return 1
end

