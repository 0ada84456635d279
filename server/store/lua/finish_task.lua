-- The end of a run: id, holder, status, default ttl s, then fields and values. 1, or 0 where the run has lost its
-- lease: what it brings is then dropped. Its message goes with it, so that no acknowledgement is needed.
-- May be sent twice: an ended record still names its holder.
even_when_full()
local id, holder, to = ARGV[1], ARGV[2], ARGV[3]
local record = load(id)
if record.w ~= holder then return 0 end
if record.s == to and record.s ~= 'running' then return 1 end
if record.s ~= 'running' and record.s ~= 'canceling' then return 0 end
finish(id, record, to, now_ms(), ARGV[4], unpack(ARGV, 5))
return 1
