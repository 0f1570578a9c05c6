-- Writes down the names in a room that the sessions of an instance have: hands them from its former
-- ids to its current id, and gives it those that Redis has lost. Publishes nothing: the users were
-- in the room all the time.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- ARGV[1] the current id of the instance
-- ARGV[2] what all ids of the instance start with
-- ARGV[3] 1 to take a name from another user who claimed it later; 0 to leave it, and to take it
--         from one who claimed it earlier: Redis is back at an earlier state
-- ARGV[4…] four for each session: its name; the time of its claim; 1 if others may have the name
--          beside it, else 0; and the end of its line in the owner: the session, the attempt, the
--          hash of the device's secret and the fields of the name's keys
-- Reply: how many of the names the SET did not have; then for each session "kept" if it had the
-- name, "free" if nobody did, "added" if others have it beside it, "won" if it was taken from
-- another session (in all four cases the session has it now), "replaced" if a later session of the
-- same device has it, "taken" if another user has it.
--
-- Atomic, because another instance could claim the name between the check of its owner and the
-- hand-over. A former id makes no more claims. So an instance that reaps it frees only names that
-- were not handed over. If a command fails, nothing is written.
local users = {}
for i = 4, #ARGV, 4 do
  users[#users + 1] = ARGV[i]
end
local found = redis.call('HMGET', KEYS[2], unpack(users))

-- Returns the reply for a session whose name has the owner that a line describes.
local function judge(line, claimed, isBeside, session, attempt, hash)
  local since, otherSession, otherAttempt, otherHash =
    line:match('^%S* ?(%S*) ?(%S*) ?(%S*) ?(%S*)')
  local isOwn = line:sub(1, #ARGV[2]) == ARGV[2]
  local isEarlier = claimed < (tonumber(since) or 0)
  if otherSession == session then
    return 'kept'
  elseif hash ~= '-' and otherHash == hash then
    local difference = attempt - otherAttempt
    return (difference > 0 or difference == 0 and isEarlier) and 'won' or 'replaced'
  elseif isBeside then
    return 'added'
  elseif isOwn then
    -- A release of that session has not reached Redis.
    return 'kept'
  end
  return (ARGV[3] == '1') == isEarlier and 'won' or 'taken'
end

-- The fields of the HASH that are read, and what each has before the script and after it.
local fields, before, after = {}, {}, {}

local function note(field, value)
  if before[field] == nil then
    fields[#fields + 1] = field
    before[field], after[field] = value, value
  end
end

local held, replies, given = {}, {}, {}
for i, user in ipairs(users) do
  local claimed, isBeside, tail = ARGV[1 + 4 * i], ARGV[2 + 4 * i] == '1', ARGV[3 + 4 * i]
  local reply, isLost, lines = 'free', false, {}
  note(user, found[i])
  for line in (after[user] or ''):gmatch('[^\n]+') do
    reply = judge(line, tonumber(claimed), isBeside, tail:match('^(%S+) (%S+) (%S+)'))
    isLost = reply == 'taken' or reply == 'replaced'
    if isLost then
      break
    elseif reply == 'added' then
      lines[#lines + 1] = line
    end
  end
  replies[i] = reply
  if not isLost then
    held[#held + 1] = user
    local mine = ARGV[1] .. ' ' .. claimed .. ' ' .. tail:match('^%S+ %S+ %S+')
    for key in tail:gmatch('::%S+') do
      local value = redis.call('HGET', KEYS[2], key)
      note(key, value)
      -- A name that looks like this one may have been claimed meanwhile. Then both stay.
      local isFree = not value or value == ':' .. user or
        redis.call('HEXISTS', KEYS[2], value:sub(2)) == 0
      if isFree and (given[key] or user) == user then
        given[key] = user
        mine = mine .. ' ' .. key
        after[key] = ':' .. user
      end
    end
    lines[#lines + 1] = mine
    after[user] = table.concat(lines, '\n')
  end
end
local changes, changed, lost = {}, {}, {}
for _, field in ipairs(fields) do
  local old, new = before[field], after[field]
  if new ~= old then
    changes[#changes + 1], changes[#changes + 2] = field, new
    if old then
      changed[#changed + 1], changed[#changed + 2] = field, old
    else
      lost[#lost + 1] = field
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
    if #changed > 0 then
      redis.pcall('HSET', KEYS[2], unpack(changed))
    end
    if #lost > 0 then
      redis.pcall('HDEL', KEYS[2], unpack(lost))
    end
    return added
  end
end
return { added, unpack(replies) }
