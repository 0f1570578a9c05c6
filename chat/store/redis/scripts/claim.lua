-- Gives a name in a room to an instance, unless the name is taken, and publishes that the user
-- joined.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that claims it
-- ARGV[3] the room's channel
-- ARGV[4] the payload of the joined event, up to the number of users and the closing brace
-- Reply: the time of the claim in milliseconds if the instance has the name now, else the owner of
-- the name: an instance and the time of its claim ("" if Redis knows no owner).
--
-- Atomic, because only one of several concurrent claims may succeed, and because a user in the SET
-- must have been announced to the room. If a command fails, the claim is undone.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local users = redis.call('SCARD', KEYS[1]) + 1
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then
  return redis.call('HGET', KEYS[2], ARGV[1]) or ''
end
local set = redis.pcall('HSETNX', KEYS[2], ARGV[1], ARGV[2] .. string.format(' %.0f', now))
if set == 0 then
  -- The SET had lost a name that is taken.
  return redis.call('HGET', KEYS[2], ARGV[1])
end
local published = set
if set == 1 then
  published = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. users .. '}')
end
if type(published) == 'table' then
  redis.pcall('HDEL', KEYS[2], ARGV[1])
  redis.pcall('SREM', KEYS[1], ARGV[1])
  return published
end
return now
