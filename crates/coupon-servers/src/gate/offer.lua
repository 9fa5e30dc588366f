-- Writes coupons' totals and windows, each unless those of a later version of the catalogue are there. Running it again does
-- no harm.
--
-- KEYS: the versions by which coupons were put on offer, the pending reservations, then the holders of each coupon.
-- ARGV: the version, "1" if coupons that are not on offer stay so, then for each coupon: the coupon, its total, start and end.
-- Answer: 0 where the gate has lost its memory; otherwise 1, and the coupons that are not on offer.
local version, changes = tonumber(ARGV[1]), ARGV[2] == '1'
-- Whoever fills the gate may not have made the sentinel yet.
if changes and not redis.call('ZSCORE', KEYS[2], '@') then
  return { 0 }
end
local lacking = { 1 }
for k = 3, #KEYS do
  local at = 4 * k - 9
  local coupon = ARGV[at]
  local known = tonumber(redis.call('HGET', KEYS[1], coupon) or '')
  local there = redis.call('HEXISTS', KEYS[k], 't') == 1
  if known and not there then
    return { 0 }
  elseif changes and not there then
    lacking[#lacking + 1] = coupon
  elseif not known or known <= version then
    redis.call('HSET', KEYS[k], 't', ARGV[at + 1], 's', ARGV[at + 2], 'e', ARGV[at + 3])
    redis.call('HSET', KEYS[1], coupon, ARGV[1])
  end
end
-- The first version that was offered, and the latest.
redis.call('HSETNX', KEYS[1], 'first', ARGV[1])
if version > tonumber(redis.call('HGET', KEYS[1], 'last') or -1) then
  redis.call('HSET', KEYS[1], 'last', ARGV[1])
end
return lacking
