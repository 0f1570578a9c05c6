-- Appends messages to a room's log and publishes their events, a line each, but those whose refs say that this was done
-- before.
--
-- KEYS[1]  the room's log (STREAM)
-- KEYS[2…] what the senders named messages with (STRING), in the order of these messages
-- ARGV[1]  the room's channel
-- ARGV[2]  how many messages to keep
-- ARGV[3]  for how many seconds to keep them
-- ARGV[4]  for how many seconds to know a ref
-- ARGV[5…] for each message two: 1 if it was named, else 0, and the rest of its event as JSON, after its id and prev:
--          "user":"foo","text":"hi"}
-- Reply: the messages' ids.
--
-- Atomic, because what is published must be what the log has, in the same order, with the id of the one before; and
-- because of many with the same ref one must be published.
local log, channel, seconds = KEYS[1], ARGV[1], ARGV[3]
-- Whatever can fail comes before the first message, so that all are taken or none.
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
  -- Together, because for Redis and for every instance that hears it a publish costs more than an event.
  redis.call('PUBLISH', channel, table.concat(events, '\n'))
  redis.call('XTRIM', log, 'MINID', '~', string.format('%d', tonumber(prev:match('^%d+')) - seconds * 1000))
  redis.call('EXPIRE', log, seconds)
end
return ids
