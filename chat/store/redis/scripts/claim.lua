-- Gives a name in a room to a session, and publishes that the user joined. A later session of a
-- device that has the name already takes it over: then `replaced` is published. If the session is
-- of one more device of the user, `added` is.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH)
-- KEYS[3] exists if there were two users in the room at once (STRING)
-- KEYS[4] who is banned from the room (HASH)
-- ARGV[1] the name
-- ARGV[2] the instance that claims it
-- ARGV[3] the end of the owner's line: the session, the attempt and the hash of the device's secret
-- ARGV[4] the room's channel
-- ARGV[5] the event's fields user and session as JSON, such as "user":"foo","session":"5"
-- ARGV[6] how long KEYS[3] lives, in seconds
-- ARGV[7] how many sessions may have the name at once
-- ARGV[8] the client's address, if the user or the address can be banned, else ""
-- ARGV[9…] the fields of the name's keys: see `keys.ts`
-- Reply: the time of the claim in milliseconds if the session has the name now; -1 if the user is
-- banned; 0 if a later session of the same device has it; else the name that is taken, this one or
-- one that looks like it, and its owner ("" if Redis knows none).
--
-- Atomic, because only one of several concurrent claims may succeed, and because a user in the SET
-- must have been announced to the room. If a command fails, the claim is undone.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[8] ~= '' then
  local function isBanned(user, pattern)
    local ban = redis.call('HGET', KEYS[4], user)
    return ban and tonumber(ban:match(pattern) or 0) > now
  end
  local isRefused = isBanned(ARGV[1], '^%d+')
  local sharers = redis.call('HGET', KEYS[4], 'address:' .. ARGV[8])
  for user in (sharers or ''):gmatch('[^:]+') do
    isRefused = isRefused or isBanned(user, '^(%d+) 1')
  end
  if isRefused then
    return -1
  end
end
local users = redis.call('SCARD', KEYS[1])
local owner = redis.call('HGET', KEYS[2], ARGV[1])
local newAttempt, newHash = ARGV[3]:match(' (%S+) (%S+)$')
local lines, former, ownKeys, keys = {}, nil, '', {}
for line in (owner or ''):gmatch('[^\n]+') do
  local session, attempt, hash, formerKeys = line:match('^%S+ %S+ (%S+) (%S+) (%S+)(.*)$')
  if hash ~= newHash or hash == '-' then
    lines[#lines + 1] = line
  elseif tonumber(attempt) >= tonumber(newAttempt) then
    return 0
  else
    former, ownKeys = session, formerKeys
  end
end
if not former and #lines >= tonumber(ARGV[7]) then
  return { ARGV[1], owner }
elseif not owner then
  for i = 9, #ARGV do
    local value = redis.call('HGET', KEYS[2], ARGV[i])
    local otherOwner = value and redis.call('HGET', KEYS[2], value:sub(2))
    if otherOwner then
      return { value:sub(2), otherOwner }
    end
    ownKeys = ownKeys .. ' ' .. ARGV[i]
    keys[#keys + 1], keys[#keys + 2] = ARGV[i], ':' .. ARGV[1]
  end
end
local added = redis.call('SADD', KEYS[1], ARGV[1])
if added == 0 and not owner and ARGV[7] == '1' then
  return { ARGV[1], '' }
end
lines[#lines + 1] = ARGV[2] .. string.format(' %.0f ', now) .. ARGV[3] .. ownKeys
local reply = redis.pcall('HSET', KEYS[2], ARGV[1], table.concat(lines, '\n'), unpack(keys))
if type(reply) == 'number' then
  local start = former and 'replaced","former":' .. cjson.encode(former)
    or (owner or added == 0) and 'added"' or 'joined"'
  local event = start .. ',' .. ARGV[5] .. ',"users":' .. users + added .. '}'
  reply = redis.pcall('PUBLISH', ARGV[4], '\30{"type":"' .. event)
end
if type(reply) == 'table' then
  if owner then
    redis.pcall('HSET', KEYS[2], ARGV[1], owner)
  else
    redis.pcall('HDEL', KEYS[2], ARGV[1], unpack(ARGV, 9))
  end
  if added == 1 then
    redis.pcall('SREM', KEYS[1], ARGV[1])
  end
  return reply
end
if users + added > 1 then
  redis.pcall('SET', KEYS[3], '1', 'EX', ARGV[6])
end
return now
