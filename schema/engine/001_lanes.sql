-- For an engine that shards by itself: the small tables of its lanes, of which a database has several. The columns are those of
-- the files in shard/, with the lane before them, in the key as well. Beside these there is one table of results, from
-- shard/001_results.sql as it is. vschema.json says by what an engine shards each of them.
--
-- Rows of results never move from one lane to another, so of the tables of moves there is only the one that every transaction
-- looks at. It stays empty.

CREATE TABLE outbox (
    lane VARBINARY(1) NOT NULL,
    outbox_id BIGINT NOT NULL,
    deltas TEXT NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (lane, outbox_id)
) ENGINE = InnoDB;

CREATE TABLE parked_results (
    lane VARBINARY(1) NOT NULL,
    result_id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    room_id BIGINT NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    park_time BIGINT NOT NULL,
    slot SMALLINT,
    request BIGINT,
    hold_until BIGINT
) ENGINE = InnoDB;

CREATE TABLE shard_meta (
    lane VARBINARY(1) NOT NULL,
    name VARCHAR(64) NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (lane, name)
) ENGINE = InnoDB;

CREATE TABLE shard_state (
    lane VARBINARY(1) NOT NULL,
    id SMALLINT NOT NULL,
    dataset VARCHAR(64) NOT NULL,
    outbox_id BIGINT NOT NULL,
    closed_epoch BIGINT NOT NULL,
    as_of BIGINT NOT NULL,
    results BIGINT NOT NULL,
    used BIGINT NOT NULL,
    order_amount DECIMAL(20, 2) NOT NULL,
    messages BIGINT NOT NULL,
    received BIGINT NOT NULL,
    commits BIGINT NOT NULL,
    given_back BIGINT NOT NULL DEFAULT 0,
    gate_list BIGINT NOT NULL DEFAULT 0,
    closed_epochs VARCHAR(400) NOT NULL DEFAULT '',
    PRIMARY KEY (lane, id)
) ENGINE = InnoDB;

CREATE TABLE markers (
    lane VARBINARY(1) NOT NULL,
    marker_id VARCHAR(64) NOT NULL,
    commit_time BIGINT NOT NULL,
    PRIMARY KEY (lane, marker_id)
) ENGINE = InnoDB;

CREATE TABLE holds (
    lane VARBINARY(1) NOT NULL,
    hold_until BIGINT NOT NULL,
    result_id BIGINT NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    PRIMARY KEY (lane, hold_until, result_id)
) ENGINE = InnoDB;

CREATE TABLE releases (
    lane VARBINARY(1) NOT NULL,
    outbox_id BIGINT NOT NULL,
    result_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    slot SMALLINT NOT NULL,
    request BIGINT,
    closed_epoch BIGINT NOT NULL,
    PRIMARY KEY (lane, outbox_id, result_id)
) ENGINE = InnoDB;

CREATE TABLE move_state (
    lane VARBINARY(1) NOT NULL,
    id SMALLINT NOT NULL,
    batch BIGINT NOT NULL,
    moving_from BIGINT NOT NULL,
    closed BIGINT NOT NULL,
    late BIGINT NOT NULL,
    PRIMARY KEY (lane, id)
) ENGINE = InnoDB;
