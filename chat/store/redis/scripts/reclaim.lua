-- Writes down the names in a room that an instance holds: hands them from its former ids to its
-- current id, and gives it those that Redis has lost. Publishes nothing: the users were in the room
-- all the time.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the current id of the instance
-- ARGV[2] what all ids of the instance start with
-- ARGV[3] 1 to take a name from an instance that claimed it later, 0 to leave it
-- ARGV[4…] the names, each followed by the time of its claim, "" if that is unknown
-- Reply: how many of the names the SET did not have; then for each name "kept" if it was the
-- instance's own, "free" if nobody held it, "taken" if it was taken back (in all three cases the
-- current id holds it now), else the instance that holds it.
--
-- Atomic, because another instance could claim the name between the check of its owner and the
-- hand-over. A former id makes no more claims. So an instance that reaps it frees only names that
-- were not handed over. If a command fails, nothing is written.
local users, now = {}, nil
for i = 4, #ARGV, 2 do
  users[#users + 1] = ARGV[i]
end
local owners = redis.call('HMGET', KEYS[2], unpack(users))
local held, changes, lost, before, replies = {}, {}, {}, {}, {}
for i, user in ipairs(users) do
  local owner, claimed = owners[i], tonumber(ARGV[3 + 2 * i])
  -- A claim without a time counts as the earliest one.
  local id, since = (owner or ''):match('^(%S*) ?(.*)$')
  if not owner then
    replies[i] = 'free'
  elseif id:sub(1, #ARGV[2]) == ARGV[2] then
    replies[i], claimed = 'kept', tonumber(since) or claimed
  elseif ARGV[3] == '1' and claimed and claimed < (tonumber(since) or 0) then
    replies[i] = 'taken'
  else
    replies[i] = id
  end
  if replies[i] ~= id then
    if not claimed and not now then
      local time = redis.call('TIME')
      now = time[1] * 1000 + math.floor(time[2] / 1000)
    end
    local mine = ARGV[1] .. string.format(' %.0f', claimed or now)
    held[#held + 1] = user
    if owner ~= mine then
      changes[#changes + 1], changes[#changes + 2] = user, mine
      if owner then
        before[#before + 1], before[#before + 2] = user, owner
      else
        lost[#lost + 1] = user
      end
    end
  end
end
if #changes > 0 then
  redis.call('HSET', KEYS[2], unpack(changes))
end
local added = 0
if #held > 0 then
  added = redis.pcall('SADD', KEYS[1], unpack(held))
  if type(added) == 'table' then
    if #before > 0 then
      redis.pcall('HSET', KEYS[2], unpack(before))
    end
    if #lost > 0 then
      redis.pcall('HDEL', KEYS[2], unpack(lost))
    end
    return added
  end
end
return { added, unpack(replies) }
