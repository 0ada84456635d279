-- Queue again those of some tasks that are queued and whose message was lost.
-- Input: ids. Output: those that were queued. Publishes nothing: their status is the same.
--- @include "clock"
--- @include "messages"
--- @include "record"
--- @include "when_full"
allow_when_full()
local now, requeued = now_ms(), {}
for _, id in ipairs(ARGV) do
  local record = load(id)
  if record.s == 'queued' then
    enqueue(id, record.q, record.p, now)
    requeued[#requeued + 1] = id
  end
end
return requeued
