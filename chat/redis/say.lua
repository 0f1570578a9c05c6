-- Appends a message to a room's log and publishes its event, unless its ref says that this was done before.
--
-- KEYS[1] the room's log (STREAM)
-- KEYS[2] what its sender named the message with (STRING), if it was named
-- ARGV[1] the room's channel
-- ARGV[2] the rest of the event as JSON, after its id and prev: "user":"foo","text":"hi"}
-- ARGV[3] how many messages to keep
-- ARGV[4] for how many seconds to keep them
-- ARGV[5] for how many seconds to know the ref
-- Reply: the message's id.
--
-- Atomic, because what is published must be what the log has, in the same order, with the id of the one before; and
-- because of many with the same ref one must be published.
local log, ref = KEYS[1], KEYS[2]
if ref then
  local id = redis.call('GET', ref)
  if id then
    return id
  end
end
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local prev = newest and newest[1] or '0-0'
local id = redis.call('XADD', log, 'MAXLEN', '~', ARGV[3], '*', 'prev', prev, 'rest', ARGV[2])
redis.call('XTRIM', log, 'MINID', '~', string.format('%d', tonumber(id:match('^%d+')) - ARGV[4] * 1000))
redis.call('EXPIRE', log, ARGV[4])
if ref then
  redis.call('SET', ref, id, 'EX', ARGV[5])
end
redis.call('PUBLISH', ARGV[1], '{"type":"message","id":"' .. id .. '","prev":"' .. prev .. '",' .. ARGV[2])
return id
