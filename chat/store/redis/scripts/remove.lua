-- Takes the text of a message out of a room's log, and publishes that it was removed. The log is
-- written anew under another key, which then replaces it: an entry of a stream cannot be changed.
--
-- KEYS[1] the room's log (STREAM)
-- KEYS[2] where the log is written anew (STREAM); gone afterwards
-- KEYS[3] the removals that a client that resumes has to be told (ZSET)
-- ARGV[1] the id of the message
-- ARGV[2] the end of its event as JSON without the text: see `publish.lua`
-- ARGV[3] the room's channel
-- ARGV[4] the event that the message was removed
-- ARGV[5] how long KEYS[3] lives, in seconds
-- Reply: 1 if the message was removed, 0 if the log does not have it, or has it without its text.
--
-- Atomic, because a message could be appended meanwhile. If a command fails, nothing has changed.
local log, copy, removals = KEYS[1], KEYS[2], KEYS[3]
local entry = redis.call('XRANGE', log, ARGV[1], ARGV[1])[1]
local fields = entry and entry[2] or {}
local place
for i = 1, #fields, 2 do
  place = fields[i] == 'rest' and i + 1 or place
end
if not place or fields[place] == ARGV[2] then
  return 0
end
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1][1]
local ttlMs = redis.call('PTTL', log)
redis.call('DEL', copy)

local function undo(failure)
  redis.pcall('DEL', copy)
  redis.pcall('ZREM', removals, ARGV[4])
  return failure
end

local start, oldest = '-', nil
repeat
  local page = redis.call('XRANGE', log, start, '+', 'COUNT', 500)
  for i = start == '-' and 1 or 2, #page do
    local id, values = page[i][1], page[i][2]
    oldest = oldest or id
    if id == ARGV[1] then
      values[place] = ARGV[2]
    end
    -- An entry with more values is another program's: Lua could not pass it on.
    if #values <= 5000 then
      local added = redis.pcall('XADD', copy, id, unpack(values))
      if type(added) == 'table' and added.err then
        return undo(added)
      end
    end
    start = id
  end
until start == newest

-- The last one may fail too, but not after it was allowed once.
for _, command in ipairs({
  { 'EXPIRE', copy, math.ceil(ttlMs / 1000) },
  { 'RENAME', copy, copy },
  { 'ZADD', removals, newest:match('^%d+'), ARGV[4] },
  { 'EXPIRE', removals, ARGV[5] },
  -- Nobody can resume after a message that the log no longer has.
  { 'ZREMRANGEBYSCORE', removals, '-inf', '(' .. oldest:match('^%d+') },
  { 'PUBLISH', ARGV[3], '\30' .. ARGV[4] },
  { 'RENAME', copy, log },
}) do
  local reply = (command[1] ~= 'EXPIRE' or ttlMs > 0) and redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then
    return undo(reply)
  end
end
return 1
