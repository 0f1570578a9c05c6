-- Appends messages to a room's log, and publishes them in one payload, an event on each line. A
-- message whose ref is known already is neither appended nor published.
--
-- KEYS[1]  the room's log (STREAM)
-- KEYS[2…] the refs of the messages that have one (STRING), in the order of the messages
-- ARGV[1]  the room's channel
-- ARGV[2]  the number of messages to keep
-- ARGV[3]  how long to keep them, in seconds
-- ARGV[4]  how long to remember a ref, in seconds
-- ARGV[5…] two for each message: 1 if it has a ref, else 0; and the end of its event as JSON,
--          after id and prev, such as "user":"foo","text":"hi"}
-- Reply: the ids of the messages.
--
-- Atomic, because the events must be published in the order of the log, each with the id of the
-- message before it; and because only one of several messages with the same ref may be appended.
local log, channel, seconds = KEYS[1], ARGV[1], ARGV[3]
-- Everything that can fail comes before the first write, so that either all messages are appended
-- or none.
local known = {}
for i = 2, #KEYS do
  known[KEYS[i]] = redis.call('GET', KEYS[i])
end
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] or '0-0'

local ids, ref, events = {}, 1, {}
for i = 5, #ARGV, 2 do
  local key, rest = nil, ARGV[i + 1]
  if ARGV[i] == '1' then
    ref = ref + 1
    key = KEYS[ref]
  end
  local id = key and known[key]
  if not id then
    id = redis.call('XADD', log, 'MAXLEN', '~', ARGV[2], '*', 'prev', prev, 'rest', rest)
    if key then
      redis.call('SET', key, id, 'EX', ARGV[4])
      known[key] = id
    end
    events[#events + 1] = '{"type":"message","id":"' .. id .. '","prev":"' .. prev .. '",' .. rest
    prev = id
  end
  ids[#ids + 1] = id
end
if #events > 0 then
  -- One payload: for Redis and for every instance, a PUBLISH costs more than an event in it.
  redis.call('PUBLISH', channel, table.concat(events, '\n'))
  local firstKept = tonumber(prev:match('^%d+')) - seconds * 1000
  redis.call('XTRIM', log, 'MINID', '~', string.format('%d', firstKept))
  redis.call('EXPIRE', log, seconds)
end
return ids
