-- Append items to the output of an attempt. May be sent twice: items are numbered within the attempt.
-- Above the size that is kept, the oldest items are dropped.
-- Input: id, lease token, the number of the first item in this attempt (from 1), bytes kept, the owner's quota in
-- bytes, items (JSON).
-- Output: the state that `attempt_state` returns; or, if the quota
-- does not permit it, so that nothing is stored, the bytes that the owner uses already.
-- Publishes `output`.
--- @include "bytes"
--- @include "record"
local OVERHEAD = 16  -- bytes that an item costs in addition to its text, about

local id, token, first, kept, quota = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local record = load(id)
local state = attempt_state(record, token)
if state == 'lost' then return state end
local last, before = tonumber(record.on or 0), tonumber(record.oy or 0)
local new = 6 + last - tonumber(record.ob or 0) - (first - 1)  -- the items before are stored

local size = before
for i = new, #ARGV do size = size + #ARGV[i] + OVERHEAD end
local used = bytes_held(record.o)
if used + math.min(size, kept) - before > quota then return used end

if new <= #ARGV then
  for i = new, #ARGV do redis.call('RPUSH', keys.output(id), ARGV[i]) end
  while size > kept do size = size - #redis.call('LPOP', keys.output(id)) - OVERHEAD end
  count_bytes(record.o, size - before)
  redis.call('HSET', keys.task(id), 'on', last + #ARGV - new + 1, 'oy', size)
  redis.call('PUBLISH', keys.task(id), 'output')
end
return state
