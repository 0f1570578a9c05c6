-- Deletes keys of the chat that are of no use to it: another program has given them another type,
-- or has chosen an id for an entry of a log that leaves none for the next one.
--
-- KEYS[1…] the keys
-- ARGV[1…] the type that each should have
-- Reply: the keys that were deleted.
--
-- Atomic, because the key could be deleted and written anew between the check and the deletion. It
-- uses no command that the chat does not need anyway.
local deleted = {}
for i, key in ipairs(KEYS) do
  local check = ({
    string = { 'GET', key }, set = { 'SCARD', key }, hash = { 'HEXISTS', key, '' },
    zset = { 'ZSCORE', key, '' }, stream = { 'XLEN', key },
  })[ARGV[i]]
  local reply = redis.pcall(unpack(check))
  local isUseless = type(reply) == 'table' and reply.err and reply.err:find('WRONGTYPE')
  if ARGV[i] == 'stream' and not isUseless and reply ~= 0 then
    local id = redis.pcall('XADD', key, '*', 'probe', '')
    if type(id) == 'table' then
      isUseless = id.err:find('exhausted')
    else
      redis.call('XDEL', key, id)
      isUseless = #id:match('^%d+') > 15 or #id:match('%d+$') > 15
    end
  end
  if isUseless then
    redis.call('DEL', key)
    deleted[#deleted + 1] = key
  end
end
return deleted
