-- Lets go of results that gave their stock back, each only where the gate holds exactly it. Running it again does no harm:
-- whatever is held in its place by then is another result.
--
-- KEYS: the pending reservations, then for each result the holders of its coupon.
-- ARGV: for how many ms a request is remembered, then for each result: the user, its field among the holders, its mark among
-- the pending reservations, the id, the key of its request's answer, and the beginning of the keys of the users who have any (""
-- for a result of no named request).
-- Answer: 1, or 0 where the gate has lost its memory.
if not redis.call('ZSCORE', KEYS[1], '@') then
  return 0
end
local kept = ARGV[1]
-- Users who have answers are listed by the time of those: a list is read for one such time more, and goes whole.
local now = '.' .. math.floor(redis.call('TIME')[1] * 1000 / kept)
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
      local who = of(users, ARGV[at + 5] .. now)
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
  if redis.call('PTTL', who) < 0 then
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
