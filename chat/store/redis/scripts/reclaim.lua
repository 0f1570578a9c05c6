-- Hands names in a room from what an instance was to what it is now, and takes those that are free. Tells nobody: the
-- users have been there all along.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] who holds which name (HASH)
-- ARGV[1] the instance as it is now
-- ARGV[2] how many ids it had before, then these ids
-- ARGV[…] the names
-- Reply: for each name "kept" if it was the instance's, "free" if it was nobody's (both: it is the instance's now), else
-- the instance that has it.
--
-- Atomic, because between the look at the holder and the hand-over the name could get its next holder.
local mine = { [ARGV[1]] = true }
local count = tonumber(ARGV[2])
for i = 3, 2 + count do
  mine[ARGV[i]] = true
end
local answers = {}
for i = 3 + count, #ARGV do
  local owner = redis.call('HGET', KEYS[2], ARGV[i])
  if owner and not mine[owner] then
    table.insert(answers, owner)
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
    redis.call('SADD', KEYS[1], ARGV[i])
    table.insert(answers, owner and 'kept' or 'free')
  end
end
return answers
