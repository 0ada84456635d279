-- Delete a finished record.
-- Input: id. Output: 1 where it had files or uploads, which are noted as to be deleted, else 0. Publishes `dropped`.
--- @include "delete"
--- @include "when_full"
allow_when_full()
return delete(ARGV[1]) and 1 or 0
