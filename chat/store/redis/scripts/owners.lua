-- Says which instances hold names in a room, each once.
--
-- KEYS[1] who holds which name (HASH)
-- Reply: the instances.
--
-- A script only because the answer is short, where the names may be many.
local seen, answer = {}, {}
for _, owner in ipairs(redis.call('HVALS', KEYS[1])) do
  if not seen[owner] then
    seen[owner] = true
    table.insert(answer, owner)
  end
end
return answer
