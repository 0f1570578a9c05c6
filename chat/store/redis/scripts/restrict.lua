-- Bans or mutes a user in a room, or lifts that, and publishes it.
--
-- KEYS[1] the bans or the mutes of the room (HASH): see `keys.ts`
-- ARGV[1] the user
-- ARGV[2] for how long, in seconds; 0 lifts it
-- ARGV[3] the rest of the field's value: 1 if the addresses of the user are banned too, else 0; who
--         does it
-- ARGV[4] the room's channel
-- ARGV[5] the event as JSON, up to the time at which it ends
-- ARGV[6] the rest of the event
-- ARGV[7] how many users may be banned or muted in the room
-- Reply: 1, or 0 if there was nothing to lift, or -1 if so many are banned or muted already.
--
-- Atomic, because the room must be told what holds. If a command fails, nothing has changed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields, values = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #fields, 2 do
  values[fields[i]] = fields[i + 1]
end

-- Tells whether what a field's value says still holds; with a pattern, only if that matches.
local function holds(value, pattern)
  return value and tonumber(value:match(pattern or '^%d+') or 0) > now
end

local old, untilMs = values[ARGV[1]], 0
if ARGV[2] ~= '0' then
  untilMs = now + ARGV[2] * 1000
elseif not holds(old) then
  return 0
end
if not holds(old) and #fields >= 2 * ARGV[7] then
  local count = 0
  for _, value in pairs(values) do
    count = holds(value) and count + 1 or count
  end
  if count >= tonumber(ARGV[7]) then
    return -1
  end
end
values[ARGV[1]] = string.format('%.0f ', untilMs) .. ARGV[3]
local reply = redis.pcall('HSET', KEYS[1], ARGV[1], values[ARGV[1]])
if type(reply) == 'number' then
  local event = '\30' .. ARGV[5] .. string.format('%.0f', untilMs) .. ARGV[6]
  reply = redis.pcall('PUBLISH', ARGV[4], event)
end
if type(reply) == 'table' then
  redis.pcall('HSET', KEYS[1], ARGV[1], old or '0 0 -')
  return reply
end
-- What holds no longer takes memory. A later ban must not bring addresses of this user back.
for field, value in pairs(values) do
  local kept = holds(value) and value or ''
  if field:find('^address:') then
    kept = ''
    for user in value:gmatch('[^:]+') do
      local isKept = holds(values[user], '^(%d+) 1') and
        (user ~= ARGV[1] or holds(old, '^(%d+) 1'))
      kept = isKept and kept .. ':' .. user or kept
    end
  end
  if kept == '' then
    redis.pcall('HDEL', KEYS[1], field)
  elseif kept ~= value then
    redis.pcall('HSET', KEYS[1], field, kept)
  end
end
return 1
