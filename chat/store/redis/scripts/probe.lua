-- Calls every command that the scripts and the store call, on a key of its own that is gone
-- afterwards.
--
-- KEYS[1] the key
-- ARGV[1] a channel on which nobody minds an empty payload
-- Reply: nil if every command succeeds, else the error of the first one that fails.
--
-- It is a script because that makes one round trip, and because no other probe may use the key
-- meanwhile.
local key, channel = KEYS[1], ARGV[1]
-- SET comes first: after another write, a script goes on when Redis is out of memory.
for _, call in ipairs({
  { 'SET', key, '1', 'EX', '10' }, { 'GET', key }, { 'TIME' }, { 'PTTL', key },
  { 'EXPIRE', key, '10' }, { 'DEL', key }, { 'SADD', key, 'a' }, { 'SCARD', key },
  { 'SMEMBERS', key }, { 'SSCAN', key, '0' }, { 'SREM', key, 'a' },
  { 'HSET', key, 'a', '1' }, { 'HGET', key, 'a' }, { 'HEXISTS', key, 'a' },
  { 'HMGET', key, 'a' }, { 'HLEN', key },
  { 'HVALS', key }, { 'HGETALL', key }, { 'HDEL', key, 'a' },
  { 'ZADD', key, '1', 'a' }, { 'ZSCORE', key, 'a' }, { 'ZRANGE', key, '0', '-1' },
  { 'ZRANGEBYSCORE', key, '0', '1' }, { 'ZREM', key, 'a' },
  { 'ZREMRANGEBYSCORE', key, '0', '1' }, { 'XADD', key, '1-1', 'a', '1' }, { 'RENAME', key, key },
  { 'XLEN', key }, { 'XRANGE', key, '-', '+' }, { 'XREVRANGE', key, '+', '-' },
  { 'XDEL', key, '1-1' }, { 'XTRIM', key, 'MAXLEN', '0' }, { 'DEL', key },
  { 'PUBLISH', channel, '' },
}) do
  local reply = redis.pcall(unpack(call))
  if type(reply) == 'table' and reply.err then
    redis.pcall('DEL', key)
    -- In a script, Redis 6 and 7.0 do not say which command the user may not call.
    local place = reply.err:find("can't run this command") and
      ": the '" .. call[1]:lower() .. "' command"
    return reply.err .. (place or '')
  end
end
return nil
