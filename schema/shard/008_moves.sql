-- Rows that move from one shard or table to another because the layout has changed, and how far they have come.

-- The rows that have left their table and are not known to have arrived in their new one: one batch at most. The columns of a
-- table of results, and those at the end.
CREATE TABLE leaving (
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
    state SMALLINT NOT NULL DEFAULT 1,
    slot SMALLINT DEFAULT 0,
    hold_until BIGINT,
    request BIGINT,
    state_time BIGINT,
    -- the table that it was in
    from_table VARCHAR(64) NOT NULL,
    -- the place that it goes to
    to_shard SMALLINT NOT NULL,
    to_table VARCHAR(64) NOT NULL
) ENGINE = InnoDB;

-- What has moved from this shard, in one row; without it, nothing has.
CREATE TABLE move_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    -- the last batch that left: the one in `leaving`, if that is not empty
    batch BIGINT NOT NULL,
    -- the highest version of the layout whose rows may have begun to leave
    moving_from BIGINT NOT NULL,
    -- the highest version of which no row is left here, nor is stored here any more
    closed BIGINT NOT NULL,
    -- rows of versions up to `moving_from` that were stored here since those began to leave
    late BIGINT NOT NULL
) ENGINE = InnoDB;

-- The last batch that arrived here from each shard. What was in one with a lower number has arrived before.
CREATE TABLE arrivals (
    from_shard SMALLINT NOT NULL PRIMARY KEY,
    batch BIGINT NOT NULL
) ENGINE = InnoDB;
