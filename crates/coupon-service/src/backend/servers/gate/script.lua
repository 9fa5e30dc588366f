-- Decides the grabs of one coupon, in order. Running it again with the same arguments does no harm: whoever was granted
-- their own id is granted it again.
--
-- KEYS: the coupon's holders, its pending reservations.
-- ARGV: user, result id and time (in ms) of each grab.
-- Answers, a text for each: "g" granted, "p" and "d" with the id held (pending, or stored already), "s" sold out,
-- "t" outside the window, "x" held under an id that is parked. No answers at all when the gate does not hold the coupon.
local meta = redis.call('HMGET', KEYS[1], 't', 's', 'e')
if not meta[1] then
  return {}
end
local total, from, till = tonumber(meta[1]), tonumber(meta[2]), tonumber(meta[3])
-- Every field but the three above holds one of them.
local sold = redis.call('HLEN', KEYS[1]) - 3
local answers = {}
for i = 1, #ARGV, 3 do
  local user, id, time = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local held = redis.call('HGET', KEYS[1], user)
  local answer
  if held == id then
    answer = 'g'
  elseif held and string.sub(held, 1, 1) == 'x' then
    answer = 'x'
  elseif held then
    answer = (redis.call('ZSCORE', KEYS[2], user) and 'p' or 'd') .. held
  elseif time < from or time >= till then
    answer = 't'
  elseif sold >= total then
    answer = 's'
  else
    redis.call('HSET', KEYS[1], user, id)
    redis.call('ZADD', KEYS[2], time, user)
    sold = sold + 1
    answer = 'g'
  end
  answers[#answers + 1] = answer
end
return answers
