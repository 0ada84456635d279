-- An id begins with its creation time (see `server.store.ids`).
local function submitted_ms(id)
  return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16)
end

