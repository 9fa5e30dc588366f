-- What a shard still has to tell the main database: written in the transaction that stores the results, so that
-- stock can never be told of without its rows, nor the other way round.

CREATE TABLE outbox (
    outbox_id BIGINT NOT NULL PRIMARY KEY,
    -- JSON: [[coupon_id, rows really new], ...]; below zero: rows that were retired; with "release", "return" or "expire"
    -- behind the number: rows that gave their stock back
    deltas TEXT NOT NULL,
    create_time BIGINT NOT NULL
) ENGINE = InnoDB;

-- Results that contradict what is stored. They still hold their stock, and wait for a person.
CREATE TABLE parked_results (
    result_id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    room_id BIGINT NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    park_time BIGINT NOT NULL
) ENGINE = InnoDB;

-- The data set this shard belongs to: a shard of another one is refused.
CREATE TABLE shard_meta (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    value VARCHAR(255) NOT NULL
) ENGINE = InnoDB;
