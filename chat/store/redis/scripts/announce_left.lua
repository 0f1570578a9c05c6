-- Tells a room that a user left whom Redis has forgotten, unless someone has the name again.
--
-- KEYS[1] who holds which name (HASH)
-- ARGV[1] the name
-- ARGV[2] the room's channel
-- ARGV[3] the left event
-- Reply: 1 if the room was told.
--
-- Atomic, because the name may get its next holder at any moment.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
