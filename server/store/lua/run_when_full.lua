-- Run one command, also at `maxmemory`.
-- Input: the command and its arguments. Output: its answer. Publishes nothing.
--- @include "allowed_when_full"
return redis.call(unpack(ARGV))
