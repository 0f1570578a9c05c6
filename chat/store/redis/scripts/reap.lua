-- Frees all names in a room that a dead instance holds, and publishes for each that the user left.
-- If sessions of other instances have a name too, they keep it.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- KEYS[3] exists if there were two users in the room at once (STRING)
-- ARGV[1] the dead instance
-- ARGV[2] the room's channel
-- ARGV[3] how long KEYS[3] lives, in seconds
-- Reply: the number of names that were freed.
--
-- Atomic, because two instances may reap the same dead one at once, and each user must be seen
-- leaving once. If a command fails, its name is not freed.
local freed = 0
local owners = redis.call('HGETALL', KEYS[2])
for i = 1, #owners, 2 do
  local user, owner, others, isTheirs = owners[i], owners[i + 1], {}, false
  for line in owner:gmatch('[^\n]+') do
    if line:match('^%S*') == ARGV[1] then
      isTheirs = true
    else
      others[#others + 1] = line
    end
  end
  if isTheirs and #others > 0 then
    redis.call('HSET', KEYS[2], user, table.concat(others, '\n'))
  elseif isTheirs then
    local removed = redis.call('SREM', KEYS[1], user)
    local fields, values = { user }, { user, owner }
    for key in owner:gmatch('::%S+') do
      fields[#fields + 1] = key
      values[#values + 1], values[#values + 2] = key, ':' .. user
    end
    local reply = redis.pcall('HDEL', KEYS[2], unpack(fields))
    if type(reply) == 'number' then
      local left = '\30{"type":"left","user":' .. cjson.encode(user) .. '}'
      reply = redis.pcall('PUBLISH', ARGV[2], left)
    end
    if type(reply) == 'table' then
      redis.pcall('HSET', KEYS[2], unpack(values))
      if removed == 1 then
        redis.pcall('SADD', KEYS[1], user)
      end
      return reply
    end
    freed = freed + 1
  end
end
if freed > 0 then
  redis.pcall('SET', KEYS[3], '1', 'EX', ARGV[3])
end
return freed
