-- A table of results: the grabs that got their coupon. One such table, or many, live on each shard:
--   coupon_results                by hash of the user
--   coupon_results_2026_11_22     by time, one a UTC day
--   coupon_results_room_1_25      by room
-- The services make the other names from this file; only the name of the table changes.
--
-- Times are milliseconds since 1970, UTC. TIMESTAMPADD(SECOND, grab_time DIV 1000, '1970-01-01') shows them to people.

CREATE TABLE coupon_results (
    result_id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    room_id BIGINT NOT NULL,
    grab_status SMALLINT NOT NULL,
    fail_reason VARCHAR(32),
    grab_time BIGINT NOT NULL,
    use_status SMALLINT NOT NULL DEFAULT 0,
    use_time BIGINT,
    order_amount DECIMAL(15, 2),
    -- 0 held, 1 owned, 2 used, 3 returned, 4 released, 5 expired; from 3 on it has given its stock back
    state SMALLINT NOT NULL DEFAULT 1,
    -- its number among the user's results of the coupon that take stock; NULL once it has given its stock back
    slot SMALLINT DEFAULT 0,
    -- until when it is or was held; NULL if it never was
    hold_until BIGINT,
    -- the key of the request that it answers, if the caller named one
    request BIGINT,
    -- when its state last changed; NULL while it is as it was stored
    state_time BIGINT
) ENGINE = InnoDB;

-- A result's id begins with its time, so the primary key serves whatever asks by time: recent orders, pages, order.

-- A room's orders, latest first, and its statistics.
CREATE INDEX idx_room_time ON coupon_results (room_id, grab_time);

-- A user's coupons (a few dozen rows: sorting them costs less than a second index on random users would at every
-- grab), and the second line of defence behind the gate: one coupon a user and slot, within this table. Any number of rows
-- may have no slot.
CREATE UNIQUE INDEX idx_user_coupon ON coupon_results (user_id, coupon_id, slot);
