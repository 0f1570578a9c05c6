-- Publishes `left` for a user whose name Redis lost. Does nothing if someone holds the name now.
--
-- KEYS[1] the owners of the room's names (HASH)
-- ARGV[1] the name
-- ARGV[2] the room's channel
-- ARGV[3] the payload of the left event
-- Reply: 1 if the event was published, else 0.
--
-- Atomic, because someone could claim the name between the check and the event.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
