-- End an attempt. Its message is removed too, so that no acknowledgment is needed. May be sent twice: an ended record
-- keeps its lease token.
-- Input: id, lease token, status, then fields and values. Output: 1, or 0 if the attempt has lost its lease, so that
-- its
-- result is dropped. Publishes the status.
--- @include "finish"
--- @include "record"
--- @include "values"
--- @include "when_full"
allow_when_full()
local id, token, to = ARGV[1], ARGV[2], ARGV[3]
local record = load(id)
if record.w ~= token then return 0 end
if record.s == to and record.s ~= 'running' then return 1 end
if record.s ~= 'running' and record.s ~= 'canceling' then return 0 end
local fields = {}
for i = 4, #ARGV, 2 do
  if ARGV[i] == 'r' then
    put_value(id, 'r', keys.result(id), ARGV[i + 1])
  else
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = ARGV[i + 1]
  end
end
finish(id, record, to, now_ms(), unpack(fields))
return 1
