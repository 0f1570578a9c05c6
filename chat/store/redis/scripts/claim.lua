-- Gives a name in a room to one instance, unless someone has it, and tells the room.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] who holds which name (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that claims it
-- ARGV[3] the room's channel
-- ARGV[4] the joined event as JSON, without how many users there are and its closing brace
-- Reply: nil if it has the name now, else the instance that has it ("" if Redis does not say which).
--
-- Atomic, because of many who claim a name at once one must win, and because nobody may be in the SET of whom the room
-- was not told.
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then
  return redis.call('HGET', KEYS[2], ARGV[1])
end
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return ''
end
redis.call('PUBLISH', ARGV[3], ARGV[4] .. ',"users":' .. redis.call('SCARD', KEYS[1]) .. '}')
return nil
