-- Hands names in a room from the former ids of an instance to its current id, and gives it those
-- that are free. Publishes nothing: the users were in the room all the time.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the current id of the instance
-- ARGV[2] what all ids of the instance start with
-- ARGV[3…] the names
-- Reply: for each name "kept" if it was the instance's own, "free" if nobody held it (in both cases
-- the current id holds it now), else the instance that holds it.
--
-- Atomic, because another instance could claim the name between the check of its owner and the
-- hand-over. A former id makes no more claims. So an instance that reaps it frees only names that
-- were not handed over.
local replies = {}
for i = 3, #ARGV do
  local owner = redis.call('HGET', KEYS[2], ARGV[i])
  if owner and owner:sub(1, #ARGV[2]) ~= ARGV[2] then
    table.insert(replies, owner)
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
    redis.call('SADD', KEYS[1], ARGV[i])
    table.insert(replies, owner and 'kept' or 'free')
  end
end
return replies
