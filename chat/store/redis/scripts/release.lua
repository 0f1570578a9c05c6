-- Frees a name in a room, if one instance holds it, and tells the room.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] who holds which name (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that gives it up
-- ARGV[3] the room's channel
-- ARGV[4] the left event
-- Reply: 1 if it was freed, 0 if the instance does not hold it.
--
-- Atomic, because between the look at the holder and the removal the name could get its next holder.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
