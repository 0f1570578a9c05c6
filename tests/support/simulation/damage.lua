-- Does something to a room's log that no instance does, and publishes which of the simulation's
-- messages are left, in one step: so an observer of the channels knows what the log had when a
-- message was appended.
--
-- KEYS[1] the room's log (STREAM)
-- KEYS[2] a copy of the log, as DUMP made it (STRING)
-- ARGV[1] what to do: copy, restore, end, middle, head, delete, foreign, ahead, or just look
-- ARGV[2] a number: how many, or which
-- ARGV[3] the channel for what is left
-- ARGV[4] the pattern of the refs' keys, if they are lost too
local log, how, n = KEYS[1], ARGV[1], tonumber(ARGV[2])

local function isLater(id, other)
  local time, sequence = id:match('(%d+)%-(%d+)')
  local otherTime, otherSequence = other:match('(%d+)%-(%d+)')
  time, otherTime = tonumber(time), tonumber(otherTime)
  return time > otherTime or time == otherTime and tonumber(sequence) > tonumber(otherSequence)
end

local function entries()
  return redis.call('XRANGE', log, '-', '+')
end

if how == 'copy' then
  local dump = redis.call('DUMP', log)
  if dump then
    redis.call('SET', KEYS[2], dump)
  else
    redis.call('DEL', KEYS[2])
  end
elseif how == 'restore' then
  local dump = redis.call('GET', KEYS[2])
  if dump then
    redis.call('RESTORE', log, 0, dump, 'REPLACE')
  else
    redis.call('DEL', log)
  end
elseif how == 'end' then
  for _, entry in ipairs(redis.call('XREVRANGE', log, '+', '-', 'COUNT', n + 1)) do
    redis.call('XDEL', log, entry[1])
  end
elseif how == 'middle' then
  local all = entries()
  if #all > 2 then
    redis.call('XDEL', log, all[2 + n % (#all - 2)][1])
  end
elseif how == 'head' then
  redis.call('XTRIM', log, 'MAXLEN', n)
elseif how == 'delete' then
  redis.call('DEL', log)
elseif how == 'foreign' then
  if n % 3 == 0 then
    redis.call('XADD', log, '*', 'prev', '0-0')
  elseif n % 3 == 1 then
    redis.call('XADD', log, '*', 'prev', 'x', 'rest', 'garbage')
  else
    redis.call('XADD', log, '*', 'someone', 'else', 'wrote', 'this')
  end
elseif how == 'ahead' then
  local time = redis.call('TIME')
  redis.pcall('XADD', log, string.format('%d-0', time[1] * 1000 + n), 'from', 'the future')
end

local ids, newest = {}, '0-0'
for _, entry in ipairs(entries()) do
  if table.concat(entry[2]):find('"text":"real ', 1, true) then
    ids[#ids + 1] = entry[1]
  end
  newest = entry[1]
end
-- Whoever restores a snapshot loses the refs of what came after it.
if ARGV[4] ~= '' then
  for _, key in ipairs(redis.call('KEYS', ARGV[4])) do
    local refs = redis.call('HGETALL', key)
    for i = 1, #refs, 2 do
      if isLater(refs[i + 1], newest) then
        redis.call('HDEL', key, refs[i])
      end
    end
  end
end
redis.call('PUBLISH', ARGV[3], '{"how":"' .. how .. '","ids":"' .. table.concat(ids, ' ') .. '"}')
