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
local time = redis.call('TIME')
local kept, now = tonumber(ARGV[1]), time[1] * 1000 + math.floor(time[2] / 1000)
for k = 2, #KEYS do
  local at = 6 * k - 10
  local user, field, mark, id, answer, who = unpack(ARGV, at, at + 5)
  local held = redis.call('HGET', KEYS[k], field)
  if held and string.match(held, '^%d+') == id then
    -- The answer first: a request without one would be granted again.
    if answer ~= '' then
      redis.call('SET', answer, held, 'PX', kept)
      redis.call('ZADD', who, now, user)
      redis.call('ZREMRANGEBYSCORE', who, '-inf', now - kept)
      redis.call('PEXPIRE', who, kept)
    end
    redis.call('ZREM', KEYS[1], mark)
    redis.call('HDEL', KEYS[k], field)
  else
    -- One that a filling found beside another of its slot.
    redis.call('HDEL', KEYS[k], '+' .. id)
  end
end
return 1
