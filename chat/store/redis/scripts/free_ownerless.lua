-- Frees the names in a room that no instance holds, and publishes for each that the user left.
--
-- A name in the SET without an owner may be one whose owner Redis has lost, while a user has it on
-- an instance that did not notice yet. So each instance marks the HASH when all of its own names
-- are in it. Names are freed only when all instances have done so. The marks are fields of the HASH
-- itself: if Redis loses it once more, it loses them too.
--
-- KEYS[1] the room's users (SET)
-- KEYS[2] the owners of their names (HASH); the field ":ID" is the mark of an instance
-- ARGV[1] the instance that calls
-- ARGV[2] how many of its sessions have names
-- ARGV[3] the room's channel
-- ARGV[4] the most names to free
-- ARGV[5…] the other instances that may hold names in the room
-- Reply: the number of names without an owner before, and how many of them were freed.
--
-- Atomic, because an instance could write a name down between the check of its owner and its
-- removal. If a command fails, its name is not freed.
local fields = redis.call('HGETALL', KEYS[2])
local own, owners, marks = 0, {}, {}
for i = 1, #fields, 2 do
  owners[fields[i]] = true
  if fields[i]:find('^:[^:]') then
    marks[#marks + 1] = fields[i]
  end
  for line in fields[i + 1]:gmatch('[^\n]+') do
    own = own + (line:match('^%S*') == ARGV[1] and 1 or 0)
  end
end
local ownerless = {}
for _, user in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not owners[user] then
    ownerless[#ownerless + 1] = user
  end
end
local freed = 0
if #ownerless > 0 then
  local mark, isAgreed = ':' .. ARGV[1], own >= tonumber(ARGV[2])
  if isAgreed and not owners[mark] then
    redis.call('HSET', KEYS[2], mark, '')
    marks[#marks + 1] = mark
  end
  for i = 5, #ARGV do
    isAgreed = isAgreed and owners[':' .. ARGV[i]]
  end
  if not isAgreed then
    return { #ownerless, 0 }
  end
  for i = 1, math.min(#ownerless, tonumber(ARGV[4])) do
    local user = ownerless[i]
    redis.call('SREM', KEYS[1], user)
    local left = '\30{"type":"left","user":' .. cjson.encode(user) .. '}'
    local published = redis.pcall('PUBLISH', ARGV[3], left)
    if type(published) == 'table' then
      redis.pcall('SADD', KEYS[1], user)
      return published
    end
    freed = freed + 1
  end
end
if freed == #ownerless and #marks > 0 then
  redis.call('HDEL', KEYS[2], unpack(marks))
end
return { #ownerless, freed }
