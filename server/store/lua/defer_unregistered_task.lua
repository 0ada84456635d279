-- A worker that does not know the kind of a queued task has its message: id, ms until it is due again at least, and at
-- most. The older the task, the rarer: after a quarter of its age. 1, or 0 where there is no such record.
even_when_full()
local id, now = ARGV[1], now_ms()
local record = load(id)
if not record.s then return 0 end
if record.s == 'queued' then
  local wait = math.min(tonumber(ARGV[3]), math.max(tonumber(ARGV[2]), math.floor((now - submitted_ms(id)) / 4)))
  set_aside(id, record, now + wait)
end
return 1
