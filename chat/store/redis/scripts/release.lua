-- Frees a name in a room if a certain session has it, and publishes that the user left. If other
-- sessions have the name too, it frees only that session's place.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- KEYS[3] exists if there were two users in the room at once (STRING)
-- ARGV[1] the name
-- ARGV[2] the session
-- ARGV[3] 1 if the session is certain to have had the name, and no other one can have it, else 0
-- ARGV[4] the room's channel
-- ARGV[5] the payload of the left event
-- ARGV[6] how long KEYS[3] lives, in seconds
-- Reply: a positive number if the name was freed: 1 if other users are in the room, 3 if it is
-- empty now, 2 if there was never a second user either; 0 if another session has the name, -1 if
-- nobody does.
--
-- Atomic, because the name could get its next owner between the check of its owner and the removal.
-- If a command fails, the release is undone.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
local others, isTheirs = {}, false
for line in (owner or ''):gmatch('[^\n]+') do
  if line:match('^%S+ %S+ (%S+)') == ARGV[2] then
    isTheirs = true
  else
    others[#others + 1] = line
  end
end
if #others > 0 then
  if isTheirs then
    redis.call('HSET', KEYS[2], ARGV[1], table.concat(others, '\n'))
  end
  return 0
end
if not owner and ARGV[3] == '0' then
  return -1
end
-- Without an owner, the name is the session's own if it is in the SET: Redis has lost the owner.
local removed = redis.call('SREM', KEYS[1], ARGV[1])
if not owner and removed == 0 then
  return -1
end
local fields, values = { ARGV[1] }, { ARGV[1], owner }
for key in (owner or ''):gmatch('::%S+') do
  fields[#fields + 1] = key
  values[#values + 1], values[#values + 2] = key, ':' .. ARGV[1]
end
local reply = redis.pcall('HDEL', KEYS[2], unpack(fields))
if type(reply) == 'number' then
  reply = redis.pcall('PUBLISH', ARGV[4], ARGV[5])
end
if type(reply) == 'table' then
  if owner then
    redis.pcall('HSET', KEYS[2], unpack(values))
  end
  if removed == 1 then
    redis.pcall('SADD', KEYS[1], ARGV[1])
  end
  return reply
end
if redis.pcall('SCARD', KEYS[1]) ~= 0 then
  redis.pcall('SET', KEYS[3], '1', 'EX', ARGV[6])
  return 1
end
return redis.pcall('GET', KEYS[3]) and 3 or 2
