--- @include "burst"
--- @include "finish"
--- @include "record"
--- @include "values"
-- End the attempt with this lease; fields and values are the arguments from `first` on. Its message is removed too, so
-- that no acknowledgment is needed. May be called twice: an ended record keeps its lease token. Return whether it has
-- ended (no: it has lost its lease, so that its result is dropped), and whether this call has ended it. Publishes the
-- status.
local function end_attempt(id, token, to, now, first)
  local record = load(id)
  if record.w ~= token then
    end_burst(token)
    return false, false
  end
  if record.s == to and record.s ~= 'running' then return true, false end
  if not is_running(record) then return false, false end
  local fields = {}
  for i = first, #ARGV, 2 do
    if ARGV[i] == 'r' then
      put_value(fields, 'r', keys.result(id), ARGV[i + 1])
    else
      fields[#fields + 1], fields[#fields + 2] = ARGV[i], ARGV[i + 1]
    end
  end
  finish(id, record, to, now, unpack(fields))
  return true, true
end

