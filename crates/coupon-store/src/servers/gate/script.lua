-- Decides a batch of grabs, in order. Running it again with the same arguments does no harm: whoever was granted their own
-- id is granted it again.
--
-- KEYS: the pending reservations, then the holders of each coupon.
-- ARGV, for each coupon: the coupon, how many grabs of it follow, and of each the user, the result id and its time (in ms).
-- Answer: one text with a letter for each grab, then the ids that letters speak of, in their order. The letters: "g" granted,
-- "p" and "d" held already (pending, or stored), with the id; "s" sold out, "t" outside the window, "x" held under an id that
-- is parked, "n" the gate does not hold the coupon.
local answer, letters = { '' }, {}
local marks, grants = {}, {}
local at = 1
-- Whoever fills the gate puts a sentinel among the pending reservations: without it they are lost, and nothing can be told
-- of who is stored.
local whole = redis.call('ZSCORE', KEYS[1], '@')

for k = 2, #KEYS do
  local coupon, first, last = ARGV[at], at + 2, at + 1 + 3 * ARGV[at + 1]
  at = last + 1
  local fields = { 't', 's', 'e' }
  for i = first, last, 3 do
    fields[#fields + 1] = ARGV[i]
  end
  local known = redis.call('HMGET', KEYS[k], unpack(fields))
  local total, from, till = tonumber(known[1]), tonumber(known[2]), tonumber(known[3])
  total = whole and from and till and total
  -- Every field but those three holds one coupon.
  local sold = total and redis.call('HLEN', KEYS[k]) - 3
  local granted, fresh = {}, {}
  for i = first, last, 3 do
    local user, id, time = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    local held = fresh[user] or known[4 + (i - first) / 3]
    local letter
    if not total then
      letter = 'n'
    elseif held == id then
      letter = 'g'
    elseif held and string.sub(held, 1, 1) == 'x' then
      letter = 'x'
    elseif held then
      local pending = fresh[user] or redis.call('ZSCORE', KEYS[1], user .. ':' .. coupon)
      letter = pending and 'p' or 'd'
      answer[#answer + 1] = held
    elseif time < from or time >= till then
      letter = 't'
    elseif sold >= total then
      letter = 's'
    else
      letter, fresh[user], sold = 'g', id, sold + 1
      granted[#granted + 1], granted[#granted + 2] = user, id
      marks[#marks + 1], marks[#marks + 2] = ARGV[i + 2], user .. ':' .. coupon
    end
    letters[#letters + 1] = letter
  end
  if granted[1] then
    grants[KEYS[k]] = granted
  end
end

-- The marks first: one without a reservation is of no consequence, a reservation without one would be lost sight of.
if marks[1] then
  redis.call('ZADD', KEYS[1], unpack(marks))
end
for key, granted in pairs(grants) do
  redis.call('HSET', key, unpack(granted))
end
answer[1] = table.concat(letters)
return answer
