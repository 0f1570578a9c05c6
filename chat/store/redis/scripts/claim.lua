-- Gives a name in a room to an instance, unless the name is taken, and publishes that the user
-- joined.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that claims it
-- ARGV[3] the room's channel
-- ARGV[4] the joined event as JSON, without the number of users and the closing brace
-- Reply: nil if the instance has the name now, else the instance that holds it ("" if Redis knows
-- no owner).
--
-- Atomic, because only one of several concurrent claims may succeed, and because a user in the SET
-- must have been announced to the room.
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then
  return redis.call('HGET', KEYS[2], ARGV[1])
end
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return ''
end
redis.call('PUBLISH', ARGV[3], ARGV[4] .. ',"users":' .. redis.call('SCARD', KEYS[1]) .. '}')
return nil
