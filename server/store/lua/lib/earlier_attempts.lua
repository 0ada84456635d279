-- Record an attempt that another one follows: its start, duration, end and reason, as a line of `ds`. A task with one
-- attempt has no such lines; of very many, the last are kept.
local function note_attempt(id, record, now, ending, reason)
  local lines = record.ds
  reason = string.sub(string.gsub(reason, '%c', ' '), 1, 200)
  local line = record.b .. ' ' .. now - record.b .. ' ' .. ending .. ' ' .. reason
  lines = lines and lines .. '\n' .. line or line
  if #lines > 4000 then lines = string.gsub(lines, '^[^\n]*\n', '', 1) end
  redis.call('HSET', keys.task(id), 'ds', lines)
end

