-- A record and its place in the queue (1 is next; 0: it is not queued): id.
local fields = redis.call('HGETALL', 't:' .. ARGV[1])
local record = {}
for i = 1, #fields, 2 do
  if fields[i] == 's' or fields[i] == 'q' then record[fields[i]] = fields[i + 1] end
end
local rank = record.s == 'queued' and redis.call('ZRANK', 'queued:' .. record.q, ARGV[1])
return {fields, rank and rank + 1 or 0}
