-- Lets go of results that gave their stock back, each only where the gate holds exactly it. Running it again does no harm:
-- whatever is held in its place by then is another result.
--
-- KEYS: the pending reservations, then for each result the holders of its coupon.
-- ARGV: for how many ms a request is remembered, then for each result: the user, its field among the holders, its mark among
-- the pending reservations, the id, and the keys of its request's answer and of those who have any ("" for a result of no
-- named request).
-- Answer: 1, or 0 where the gate has lost its memory.
if not redis.call('ZSCORE', KEYS[1], '@') then
  return 0
end
local kept = ARGV[1]
-- What is taken away or added at one key goes there at once, since grabs wait meanwhile.
local marks, fields, users = {}, {}, {}

local function of(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

for k = 2, #KEYS do
  local key, at = KEYS[k], 6 * k - 10
  local id, answer = ARGV[at + 3], ARGV[at + 4]
  local held = redis.call('HGET', key, ARGV[at + 1])
  local gone = of(fields, key)
  if held and string.match(held, '^%d+') == id then
    -- The answer first: a request without one would be granted again.
    if answer ~= '' then
      redis.call('SET', answer, held, 'PX', kept)
      local who = of(users, ARGV[at + 5])
      who[#who + 1] = ARGV[at]
    end
    marks[#marks + 1] = ARGV[at + 2]
    gone[#gone + 1] = ARGV[at + 1]
  else
    -- One that a filling found beside another of its slot.
    gone[#gone + 1] = '+' .. id
  end
end
for who, answered in pairs(users) do
  redis.call('SADD', who, unpack(answered))
  -- Longer than any answer, and seldom: it is one more line in Redis' file each time.
  if redis.call('PTTL', who) < tonumber(kept) then
    redis.call('PEXPIRE', who, 2 * kept)
  end
end
if marks[1] then
  redis.call('ZREM', KEYS[1], unpack(marks))
end
for key, gone in pairs(fields) do
  redis.call('HDEL', key, unpack(gone))
end
return 1
