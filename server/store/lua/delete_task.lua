-- Delete a finished record.
-- Input: id. Output: 1 if it had files or uploads, which are recorded for deletion, else 0. Publishes `dropped`.
--- @include "allowed_when_full"
--- @include "delete"
return delete(ARGV[1]) and 1 or 0
