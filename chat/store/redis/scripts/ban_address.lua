-- Adds an address of a user who is banned from a room with addresses.
--
-- KEYS[1] the bans of the room (HASH): see `keys.ts`
-- ARGV[1] the field of the address
-- ARGV[2] the user
--
-- Atomic, because two users who have the address could be banned at once.
local ban = redis.call('HGET', KEYS[1], ARGV[2])
local users = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local isKnown = (users .. ':'):find(':' .. ARGV[2] .. ':', 1, true)
if ban and ban:find('^%d+ 1') and not isKnown then
  redis.call('HSET', KEYS[1], ARGV[1], users .. ':' .. ARGV[2])
end
