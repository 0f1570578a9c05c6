-- Lists the instances that hold names in a room, each once.
--
-- KEYS[1] the owners of the room's names (HASH)
-- Reply: the ids of the instances.
--
-- It need not be atomic. It is a script because there may be many names, while the reply is short.
local seen, owners = {}, {}
for _, owner in ipairs(redis.call('HVALS', KEYS[1])) do
  if not seen[owner] then
    seen[owner] = true
    table.insert(owners, owner)
  end
end
return owners
