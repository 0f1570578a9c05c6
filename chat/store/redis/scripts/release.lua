-- Frees a name in a room if a certain session has it, and publishes that the user left.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the name
-- ARGV[2] the session
-- ARGV[3] 1 if the session is certain to have had the name, else 0
-- ARGV[4] the room's channel
-- ARGV[5] the payload of the left event
-- Reply: 1 if the name was freed, 0 if another session has it, -1 if nobody does.
--
-- Atomic, because the name could get its next owner between the check of its owner and the removal.
-- If a command fails, the release is undone.
local owner = redis.call('HGET', KEYS[2], ARGV[1])
if owner and owner:match('^%S+ %S+ (%S+)') ~= ARGV[2] then
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
return 1
