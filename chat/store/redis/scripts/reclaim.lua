-- Writes down the names in a room that the sessions of an instance have: hands them from its former
-- ids to its current id, and gives it those that Redis has lost. Publishes nothing: the users were
-- in the room all the time.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the current id of the instance
-- ARGV[2] what all ids of the instance start with
-- ARGV[3] 1 to take a name from another user who claimed it later, 0 to leave it
-- ARGV[4…] three for each name: the name; the time of its claim; and the end of its owner: the
--          session, the attempt, the hash of the user's secret and the fields of the name's keys
-- Reply: how many of the names the SET did not have; then for each name "kept" if it was the
-- instance's own, "free" if nobody held it, "won" if it was taken from another session (in all
-- three cases the current id holds it now), "replaced" if a later session of the same user has it,
-- "taken" if another user has it.
--
-- Atomic, because another instance could claim the name between the check of its owner and the
-- hand-over. A former id makes no more claims. So an instance that reaps it frees only names that
-- were not handed over. If a command fails, nothing is written.
local users = {}
for i = 4, #ARGV, 3 do
  users[#users + 1] = ARGV[i]
end
local owners = redis.call('HMGET', KEYS[2], unpack(users))

-- Returns the reply for a name.
local function judge(owner, claimed, session, attempt, hash)
  if not owner then
    return 'free'
  end
  local since, otherSession, otherAttempt, otherHash =
    owner:match('^%S* ?(%S*) ?(%S*) ?(%S*) ?(%S*)')
  local isOwn = owner:sub(1, #ARGV[2]) == ARGV[2]
  local isEarlier = claimed < (tonumber(since) or 0)
  if otherSession == session then
    return 'kept'
  elseif hash ~= '-' and otherHash == hash then
    local difference = attempt - otherAttempt
    return (difference > 0 or difference == 0 and isEarlier) and 'won' or 'replaced'
  elseif isOwn then
    -- A release of that session has not reached Redis.
    return 'kept'
  end
  return ARGV[3] == '1' and isEarlier and 'won' or 'taken'
end

local held, changes, lost, before, replies = {}, {}, {}, {}, {}

-- Plans to write a field of the HASH.
local function change(field, old, new)
  if old == new then
    return
  end
  changes[#changes + 1], changes[#changes + 2] = field, new
  if old then
    before[#before + 1], before[#before + 2] = field, old
  else
    lost[#lost + 1] = field
  end
end

local given = {}
for i, user in ipairs(users) do
  local owner, claimed, tail = owners[i], ARGV[2 + 3 * i], ARGV[3 + 3 * i]
  replies[i] = judge(owner, tonumber(claimed), tail:match('^(%S+) (%S+) (%S+)'))
  if replies[i] ~= 'taken' and replies[i] ~= 'replaced' then
    held[#held + 1] = user
    local mine = ARGV[1] .. ' ' .. claimed .. ' ' .. tail:match('^%S+ %S+ %S+')
    for key in tail:gmatch('::%S+') do
      local value = redis.call('HGET', KEYS[2], key)
      -- A name that looks like this one may have been claimed meanwhile. Then both stay.
      local isFree = not value or value == ':' .. user or
        redis.call('HEXISTS', KEYS[2], value:sub(2)) == 0
      if isFree and not given[key] then
        given[key] = true
        mine = mine .. ' ' .. key
        change(key, value, ':' .. user)
      end
    end
    change(user, owner, mine)
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
