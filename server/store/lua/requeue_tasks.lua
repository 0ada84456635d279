-- Queue again those of some tasks that are queued without a message.
-- Input: ids. Output: the tasks that were queued. Publishes nothing: their status does not change.
--- @include "allowed_when_full"
--- @include "clock"
--- @include "messages"
--- @include "record"
local now, requeued = now_ms(), {}
for _, id in ipairs(ARGV) do
  local record = load(id)
  if record.s == 'queued' then
    enqueue(id, record.q, record.p, record.o, now)
    requeued[#requeued + 1] = id
  end
end
return requeued
