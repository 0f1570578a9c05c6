-- Appends messages to a room's log, and publishes them in one payload: '\30', then an event on each
-- line. A message whose ref is known already is neither appended nor published. One that names a
-- message before it is refused if that one's ref is not known. Without keys, the script does
-- nothing: that loads it.
--
-- KEYS[1]  the room's log (STREAM)
-- KEYS[2]  who is muted in the room (HASH)
-- KEYS[3…] two for each sender: the refs of its messages, with their ids (HASH). One takes new
--          refs for as long as a ref is remembered, and then the other one does. Each expires
--          when its last ref has been remembered for that long.
-- ARGV[1]  the room's channel
-- ARGV[2]  the number of messages to keep
-- ARGV[3]  how long to keep them, in seconds
-- ARGV[4]  how many messages that are older than that to delete at most
-- ARGV[5]  how long to remember a ref, in seconds
-- ARGV[6]  the last message of the room that the instance has delivered or logged
-- ARGV[7]  the highest id that it has seen there
-- ARGV[8]  a little more than the time of the clock, in milliseconds
-- ARGV[9]  how many refs such a HASH may have
-- ARGV[10] how many bytes the log may take; 0 for any number
-- ARGV[11] the log is measured if more bytes than this are appended
-- ARGV[12…] five for each message: where the HASHes of its sender begin in KEYS, or 0 if it needs
--          none; the ref of the message before it, or ""; its own ref, or ""; the end of its event
--          as JSON, after id and prev, such as "user":"foo","text":"hi"}; and its sender, or "" if
--          nobody can be muted
-- Reply: the ids of the messages. One that is refused has null if the ref of the one before it is
-- not known, 0 if its sender has too many refs, and -1 if its sender is muted. After an error
-- reply, none of them is in the log, none was published, and no ref of theirs is remembered, unless
-- the error begins with INDOUBT.
--
-- Atomic, because the events must be published in the order of the log, each with the id of the
-- message before it; and because only one of several messages with the same ref may be appended.
if #KEYS == 0 then
  return
end
local call, log, channel, seconds = redis.pcall, KEYS[1], ARGV[1], ARGV[3]
-- What fails if a key has another type comes before the first write.
local senders, isMuted = {}, {}
for i = 12, #ARGV, 5 do
  local place, user = ARGV[i], ARGV[i + 4]
  if user ~= '' and isMuted[user] == nil then
    local mute = redis.call('HGET', KEYS[2], user)
    isMuted[user] = mute and tonumber(mute:match('^%d+') or 0) > redis.call('TIME')[1] * 1000
  end
  if place ~= '0' then
    local sender = senders[place] or { refs = {}, known = {}, added = {} }
    senders[place] = sender
    -- Mostly, the message before it is the one before it in the batch.
    local refs = sender.refs
    for at = i + 1, i + 2 do
      local ref = ARGV[at]
      if ref ~= '' and ref ~= refs[#refs] then
        refs[#refs + 1] = ref
      end
    end
  end
end
local rememberMs = ARGV[5] * 1000
for place, sender in pairs(senders) do
  local current, other = KEYS[tonumber(place)], KEYS[place + 1]
  local ttl = redis.call('PTTL', current)
  if ttl <= rememberMs then
    local otherTtl = redis.call('PTTL', other)
    sender.isNew = otherTtl <= rememberMs
    if not sender.isNew or otherTtl < ttl then
      current, other = other, current
    end
  end
  sender.key, sender.free = current, ARGV[9] - redis.call('HLEN', current)
  local refs, known = sender.refs, sender.known
  local newer = redis.call('HMGET', current, unpack(refs))
  local older = redis.call('HMGET', other, unpack(refs))
  for i = 1, #refs do
    known[refs[i]] = newer[i] or older[i]
  end
end

local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local lastEntry = newest and newest[1] or '0-0'
local prev, nextId = lastEntry, '*'
-- Mostly, the last entry is the message that the instance has seen last, and nothing is amiss.
if lastEntry ~= ARGV[6] or ARGV[6] ~= ARGV[7] or lastEntry > ARGV[8] then
  local function isMessage(entry)
    local rest, hasPrev
    for i = 1, #entry[2], 2 do
      local name = entry[2][i]
      rest, hasPrev = name == 'rest' and entry[2][i + 1] or rest, hasPrev or name == 'prev'
    end
    -- JavaScript writes half a surrogate pair as such an escape, which cjson does not read.
    if rest and (rest:find('\\ud', 1, true) or rest:find('\\uD', 1, true)) then
      rest = rest:gsub('\\u[dD][89a-fA-F]%x%x', '\\u0020')
    end
    local isJson, event = pcall(cjson.decode, hasPrev and rest and '{' .. rest)
    return isJson and type(event.user) == 'string' and type(event.text) == 'string'
  end

  -- Other programs may have put entries after the last message.
  local entries, count = { newest }, 1
  repeat
    prev = '0-0'
    for _, entry in ipairs(entries) do
      if isMessage(entry) then
        prev = entry[1]
        break
      end
    end
    local isOver = prev ~= '0-0' or #entries < count or count == 10000
    if not isOver then
      count = count * 10
      entries = redis.call('XREVRANGE', log, '+', '-', 'COUNT', count)
    end
  until isOver

  local function isLater(one, other)
    local time, sequence = one:match('^(%d+)%-(%d+)$')
    local otherTime, otherSequence = other:match('^(%d+)%-(%d+)$')
    if time == otherTime then
      return tonumber(sequence) > tonumber(otherSequence)
    end
    return tonumber(time) > tonumber(otherTime)
  end

  -- If Redis has lost the end of the log, the next message follows the last one that was heard, and
  -- its id is above all of them, even if the clock has gone back. An id that is far ahead of the
  -- clock was never given by Redis. The microseconds make it another id than any that was lost:
  -- whoever resumes has nothing but the id. While the ids are ahead of the clock, they would come
  -- again if the next ones were just one higher.
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local latest = now + 3600000
  local lastTime, lastSequence = lastEntry:match('^(%d+)%-(%d+)$')
  local seen, sequence = ARGV[7], time[2]
  if tonumber(seen:match('^%d+')) > latest then
    seen = ARGV[6]
  end
  local highest = tonumber(seen:match('^%d+'))
  if isLater(seen, prev) and highest <= latest then
    -- The log may have lost or may have messages that the instance has not heard, so this `prev`
    -- does not prove that nothing is between: see `isProofOfNoGap` in ids.ts. An empty log whose
    -- messages were old has expired.
    if lastEntry ~= '0-0' or highest > now - seconds * 1000 then
      sequence = sequence + 1e9
    end
    prev = isLater(ARGV[6], prev) and ARGV[6] or prev
    nextId = string.format('%.0f-%.0f', math.max(highest + 1, lastTime + 1, now), sequence)
  elseif tonumber(lastTime) > now then
    nextId = string.format('%s-%.0f', lastTime, lastSequence + 1 + sequence)
  end
end

-- Undoes everything after a command has failed, and returns its error. Any command can fail,
-- because the rights of the Redis user can change at any time. To ask for them first would cost
-- every call. If a ref cannot be undone, the messages stay too, and the error begins with INDOUBT.
local appended, written = {}, {}
local function undo(failure)
  local removed = 0
  for _, sender in ipairs(written) do
    for i = 1, #sender.added, 2 do
      removed = type(removed) == 'number' and call('HDEL', sender.key, sender.added[i]) or removed
    end
  end
  if type(removed) == 'number' and #appended > 0 then
    removed = call('XDEL', log, unpack(appended))
  end
  if type(removed) == 'table' then
    return redis.error_reply('INDOUBT ' .. failure.err)
  end
  if lastEntry == '0-0' then
    call('DEL', log)
  end
  return failure
end

local ids, events, bytes = {}, {}, 0
for i = 12, #ARGV, 5 do
  local sender, after, ref, rest = senders[ARGV[i]], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local id = sender and sender.known[ref]
  if not id and isMuted[ARGV[i + 4]] then
    id = -1
  elseif not id and (after == '' or sender.known[after]) then
    if ref ~= '' and #sender.added >= 2 * sender.free then
      id = 0
    else
      id = call('XADD', log, 'MAXLEN', '~', ARGV[2], nextId, 'rest', rest, 'prev', prev)
      if id.err and nextId ~= '*' then
        -- The log has had higher ids, of entries that were deleted.
        id = call('XADD', log, 'MAXLEN', '~', ARGV[2], '*', 'rest', rest, 'prev', prev)
      end
      if id.err then
        return undo(id)
      end
      nextId = '*'
      appended[#appended + 1] = id
      -- With what an entry takes besides.
      bytes = bytes + #rest + 40
      if ref ~= '' then
        local added = sender.added
        added[#added + 1], added[#added + 2], sender.known[ref] = ref, id, id
      end
      events[#events + 1] = '{"type":"message","id":"' .. id .. '","prev":"' .. prev .. '",' .. rest
      prev = id
    end
  end
  ids[#ids + 1] = id or false
end
if #events == 0 then
  return ids
end
-- Another program has chosen an id that leaves no room for ours.
local dash = prev:find('-', 1, true)
if dash > 16 or #prev - dash > 15 then
  return undo({ err = 'ERR the ids of the log are exhausted' })
end
for _, sender in pairs(senders) do
  if #sender.added > 0 then
    local reply = call('HSET', sender.key, unpack(sender.added))
    if type(reply) == 'number' then
      written[#written + 1] = sender
      if sender.isNew then
        reply = call('EXPIRE', sender.key, 2 * ARGV[5])
      end
    end
    if type(reply) == 'table' then
      return undo(reply)
    end
  end
end
local expires = call('EXPIRE', log, seconds)
if type(expires) == 'table' then
  return undo(expires)
end
-- The last command that may fail, because it cannot be undone. One payload: for Redis and for every
-- instance, a PUBLISH costs more than an event in it.
local receivers = call('PUBLISH', channel, '\30' .. table.concat(events, '\n'))
if type(receivers) == 'table' then
  return undo(receivers)
end

-- Redis 6.0 cannot trim by age, and can count old messages only by reading them: hence the limit.
-- After a failure here, they stay until the log has too many messages. The clock counts, because
-- another program may have added an entry with a far higher id.
if ARGV[4] ~= '0' then
  local lastOld = ((call('TIME')[1] or 0) - seconds) * 1000 - 1
  local old = call('XRANGE', log, '-', string.format('%d', lastOld), 'COUNT', ARGV[4])
  local length = call('XLEN', log)
  if #old > 0 and type(length) == 'number' then
    call('XTRIM', log, 'MAXLEN', length - #old)
  end
end

-- Messages differ in size, so what their number says is measured again after each step. The steps
-- grow, because each measurement takes time. The newest message stays.
local maxBytes = tonumber(ARGV[10])
if maxBytes > 0 and bytes > tonumber(ARGV[11]) then
  local length, part = call('XLEN', log), 16
  while type(length) == 'number' and length > 1 do
    local size = call('MEMORY', 'USAGE', log, 'SAMPLES', 0)
    if type(size) ~= 'number' or size <= maxBytes then
      break
    end
    length = length - math.ceil(length / part)
    part = math.max(2, part / 2)
    call('XTRIM', log, 'MAXLEN', length)
  end
end
return ids
