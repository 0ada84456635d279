-- Record a run of a schedule that could not fire.
-- Input: schedule, fire time in ms, next one (0: none; the same one: retry), error (JSON). Output: none.
-- Publishes nothing.
--- @include "allowed_when_full"
--- @include "schedules"
local name = ARGV[1]
if tonumber(redis.call('ZSCORE', keys.fire_times, name) or 0) ~= tonumber(ARGV[2]) then return end
set_fire_time(name, tonumber(ARGV[3]))
redis.call('HSET', keys.schedule(name), 'error', ARGV[4])
