-- Decides a batch of grabs, in order. Running it again with the same arguments does no harm: whoever was granted their own
-- id is granted it again.
--
-- KEYS: the pending reservations, then the holders of each coupon.
-- ARGV: the version of the layout after the last that the process knows, as it is among the pending reservations; then for
-- each coupon: the coupon, how many grabs of it follow, how many arguments each has, and of each the user, the
-- result id and its time (in ms). So many have those that are final, of a coupon that each user gets one of, and name no
-- request. Others have four more: how many a user may have, the text of what is held (id, moment and request), the
-- request, and the key of its answer ("-" for none of either). How many a user may have differs between processes once it
-- was changed: a user's results count in whatever slots they are, up to the last that anybody ever had ("m").
-- Answer: one text with a letter for each grab, then what letters speak of, in their order. The letters: "g" granted in the
-- first slot, "G" in another, with its number; "p" and "d" held already (pending, or stored), and "r" stored or given back
-- by the same request, with what is held, and "@" and the slot if it is not the first; "s" sold out, "t" outside the window,
-- "x" held under an id that is parked, "n" the gate does not hold the coupon, "v" a version of the layout places it that the
-- process does not know.
local answer, letters = { '' }, {}
local marks, grants = {}, {}
local at = 2
-- Whoever fills the gate puts a sentinel among the pending reservations: without it they are lost, and nothing can be told
-- of who is stored. A version of the layout is among them with the time, below zero, from which on it counts.
local seen = redis.call('ZMSCORE', KEYS[1], '@', ARGV[1])
local whole, fence = seen[1], seen[2] and -tonumber(seen[2])

local function tell(letter, more)
  letters[#letters + 1] = letter
  if more then
    answer[#answer + 1] = more
  end
end

-- What a slot's place is called, among the holders and among the marks.
local function in_slot(name, slot, sign)
  return slot == 0 and name or name .. sign .. slot
end

-- A reservation's mark among the pending ones: it names the result, which another in the same slot is told from by.
local function mark_of(user, coupon, slot, held)
  return in_slot(user .. ':' .. coupon .. ':' .. string.match(held, '%d+'), slot, ':')
end

-- A grab that names its request, is held, or is one of several, or one of a coupon that somebody has had several of: says
-- which slot it takes, if any.
local function decide(key, coupon, left, from, till, most, plain, i)
  local user, value, time, limit, request = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), 1, '-'
  if not plain then
    limit, value, request = tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5]
  end
  local last = math.max(limit - 1, most)
  local fields = {}
  for slot = 0, last do
    fields[slot + 1] = in_slot(user, slot, '.')
  end
  local held = redis.call('HMGET', key, unpack(fields))
  local function of(slot, stored)
    if string.sub(held[slot + 1], 1, 1) == 'x' then
      return tell('x')
    end
    local pending = redis.call('ZSCORE', KEYS[1], mark_of(user, coupon, slot, held[slot + 1]))
    if fence and pending and tonumber(pending) >= fence then
      return tell('v')
    end
    tell(pending and 'p' or stored, in_slot(held[slot + 1], slot, '@'))
  end
  local live, lowest, free = 0, nil, nil
  for slot = 0, last do
    local there = held[slot + 1]
    if there == value then
      return tell(slot == 0 and 'g' or 'G', slot > 0 and tostring(slot))
    elseif there and request ~= '-' and string.match(there, ':([^:]*)$') == request then
      return of(slot, 'r')
    elseif there then
      live, lowest = live + 1, lowest or slot
    else
      free = free or slot
    end
  end
  local before = request ~= '-' and redis.call('GET', ARGV[i + 6])
  if before then
    tell('r', before)
  elseif live >= limit then
    of(lowest, 'd')
  elseif time < from or time >= till then
    tell('t')
  elseif left <= 0 then
    tell('s')
  else
    redis.call('ZADD', KEYS[1], ARGV[i + 2], mark_of(user, coupon, free, ARGV[i + 1]))
    redis.call('HSET', key, fields[free + 1], value)
    if free > most then
      redis.call('HSET', key, 'm', free)
    end
    tell(free == 0 and 'g' or 'G', free > 0 and tostring(free))
    return free
  end
end

for k = 2, #KEYS do
  local coupon, size = ARGV[at], tonumber(ARGV[at + 2])
  local first, last = at + 3, at + 2 + size * ARGV[at + 1]
  at = last + 1
  local plain = size == 3
  local fields = { 't', 's', 'e', 'm' }
  if plain then
    for i = first, last, 3 do
      fields[#fields + 1] = ARGV[i]
    end
  end
  local known = redis.call('HMGET', KEYS[k], unpack(fields))
  local total, from, till, most = tonumber(known[1]), tonumber(known[2]), tonumber(known[3]), tonumber(known[4] or 0)
  total = whole and from and till and total
  -- Every field but those holds one coupon.
  local sold = total and redis.call('HLEN', KEYS[k]) - (known[4] and 4 or 3)
  local granted, fresh = {}, {}
  for i = first, last, size do
    if fence and tonumber(ARGV[i + 2]) >= fence then
      tell('v')
    elseif not total then
      tell('n')
    elseif most > 0 or not plain then
      local slot = decide(KEYS[k], coupon, total - sold, from, till, most, plain, i)
      if slot then
        sold, most = sold + 1, math.max(most, slot)
      end
    else
      local user, id, time = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
      local held = fresh[user] or known[5 + (i - first) / 3]
      if held == id then
        tell('g')
      elseif held and string.sub(held, 1, 1) == 'x' then
        tell('x')
      elseif held then
        local pending = not fresh[user] and redis.call('ZSCORE', KEYS[1], mark_of(user, coupon, 0, held))
        -- What is handed over again goes to where its own time says.
        if fence and pending and tonumber(pending) >= fence then
          tell('v')
        else
          tell((fresh[user] or pending) and 'p' or 'd', held)
        end
      elseif time < from or time >= till then
        tell('t')
      elseif sold >= total then
        tell('s')
      else
        fresh[user], sold = id, sold + 1
        granted[#granted + 1], granted[#granted + 2] = user, id
        marks[#marks + 1], marks[#marks + 2] = ARGV[i + 2], user .. ':' .. coupon .. ':' .. id
        tell('g')
      end
    end
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
