-- Frees all names in a room that a dead instance holds, and publishes for each that the user left.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the dead instance
-- ARGV[2] the room's channel
-- Reply: the number of names that were freed.
--
-- Atomic, because two instances may reap the same dead one at once, and each user must be seen
-- leaving once.
local freed = 0
local owners = redis.call('HGETALL', KEYS[2])
for i = 1, #owners, 2 do
  if owners[i + 1] == ARGV[1] then
    local user = owners[i]
    redis.call('HDEL', KEYS[2], user)
    redis.call('SREM', KEYS[1], user)
    redis.call('PUBLISH', ARGV[2], '{"type":"left","user":' .. cjson.encode(user) .. '}')
    freed = freed + 1
  end
end
return freed
