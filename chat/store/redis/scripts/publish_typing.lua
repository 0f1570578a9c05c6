-- Publishes that a user is typing, unless the user is muted in the room.
--
-- KEYS[1] who is muted in the room (HASH)
-- ARGV[1] the user
-- ARGV[2] the room's channel
-- ARGV[3] the event, as it is published
-- Reply: how many subscribers Redis has sent it to; -1 if the user is muted.
--
-- One script, because the answer of HGET would have to come back first otherwise.
local mute = redis.call('HGET', KEYS[1], ARGV[1])
if mute and tonumber(mute:match('^%d+') or 0) > redis.call('TIME')[1] * 1000 then
  return -1
end
return redis.call('PUBLISH', ARGV[2], ARGV[3])
