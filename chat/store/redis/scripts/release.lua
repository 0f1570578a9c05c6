-- Frees a name in a room if a certain instance holds it, and publishes that the user left.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that releases it
-- ARGV[3] the room's channel
-- ARGV[4] the left event as JSON
-- Reply: 1 if the name was freed, 0 if the instance does not hold it.
--
-- Atomic, because the name could get its next owner between the check of its owner and the removal.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
