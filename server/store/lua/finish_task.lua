-- End an attempt. May be sent twice.
-- Input: id, lease token, status, then fields and values. Output: 1, or 0 if the attempt has lost its lease.
-- Publishes the status.
--- @include "allowed_when_full"
--- @include "end_attempt"
local ended, by_this_call = end_attempt(ARGV[1], ARGV[2], ARGV[3], now_ms(), 4)
if by_this_call then end_burst(ARGV[2]) end
return ended and 1 or 0
