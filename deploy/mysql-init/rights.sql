-- Every strategy has databases of its own (coupon_hash_main, coupon_hash_shard_0, …), which the services create.
-- MYSQL_USER of the compose file is this user.
GRANT ALL PRIVILEGES ON `coupon\_%`.* TO 'coupon'@'%';
