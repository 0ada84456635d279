-- Append an entry to the audit stream, which keeps the newest ones.
-- Input: entry (JSON), number of entries to keep. Output: none. Publishes nothing.
--- @include "allowed_when_full"
redis.call('XADD', keys.audit, 'MAXLEN', '~', ARGV[2], '*', 'act', ARGV[1])
