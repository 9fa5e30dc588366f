-- Only for the servers' backend: results whose stock came back, and which the gate may still have to forget. Written with
-- the outbox entry that says so; main takes that entry once the gate has forgotten them.
CREATE TABLE releases (
    outbox_id BIGINT NOT NULL,
    result_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    slot SMALLINT NOT NULL,
    request BIGINT,
    -- the shard's closed epoch when they were written: a gate filled in a later one was filled without them
    closed_epoch BIGINT NOT NULL,
    PRIMARY KEY (outbox_id, result_id)
) ENGINE = InnoDB;
