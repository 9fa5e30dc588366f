-- What keeps main's books right although people edit main as well.

-- Rows that a coupon's row here has no room for: it was deleted, or its stock makes no sense. They are applied when it does.
CREATE TABLE parked_deltas (
    coupon_id BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    -- 0 rows that were stored, 1 retired, 2 released, 3 returned, 4 expired
    retired SMALLINT NOT NULL,
    -- the last entry of the shard's outbox that speaks of them
    outbox_id BIGINT NOT NULL,
    -- rows stored; below zero: rows that were retired, or gave their stock back
    delta BIGINT NOT NULL,
    -- what was found when this was written
    reason VARCHAR(255) NOT NULL,
    PRIMARY KEY (coupon_id, shard, retired)
) ENGINE = InnoDB;

-- The room that a coupon belonged to when a service first saw it: its results go there for good, whatever `coupons` says
-- later, so that a repeated grab finds the first.
CREATE TABLE coupon_rooms (
    coupon_id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL
) ENGINE = InnoDB;

-- The number of the last stock log, in its one row. Whoever writes logs locks it first, so that a coupon's logs are numbered
-- in the order of their commits, whatever the clocks of two machines show.
CREATE TABLE log_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    last_log_id BIGINT NOT NULL
) ENGINE = InnoDB;
