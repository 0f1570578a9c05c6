-- Publishes an event that others have missed: that a user joined, if someone holds the name; or
-- that a user left, if nobody does.
--
-- KEYS[2] the owners of the room's names (HASH)
-- ARGV[1] the name
-- ARGV[2] 1 if someone must hold the name, 0 if nobody may
-- ARGV[3] the room's channel
-- ARGV[4] the payload of the event
-- Reply: 1 if the event was published, else 0.
--
-- Atomic, because someone could claim or release the name between the check and the event.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
