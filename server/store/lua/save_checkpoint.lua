-- Store a checkpoint for later attempts of a task. It is kept even if the attempt has lost its lease, because its
-- effects have happened. If it is sent twice, it is stored once.
-- Input: id, lease token, key, value. Output: the state that `attempt_state` returns. Publishes nothing.
--- @include "allowed_when_full"
--- @include "record"
local id = ARGV[1]
local record = load(id)
if not record.s then return 'lost' end
redis.call('HSET', keys.checkpoints(id), ARGV[3], ARGV[4])
return attempt_state(record, ARGV[2])
