-- Only where a data set has a room index (setting `room_index`): on each of its shards. The index is a copy of all results, by
-- room, kept on a shard that is chosen by the room; the results themselves stay where the layout puts them.

-- What this shard still has to tell the shards of the index: the rows that a transaction stored or changed, as they then were,
-- written in that transaction.
CREATE TABLE room_entries (
    -- the shard of the index that these rows' rooms are kept on
    to_shard SMALLINT NOT NULL,
    -- in the order of commits, with gaps
    entry_id BIGINT NOT NULL,
    -- JSON: [[result_id, user_id, coupon_id, room_id], ...]; a row that is not as a plain grab leaves it has state, slot,
    -- hold_until, request, state_time, use_time and the order's cents behind these
    results LONGTEXT NOT NULL,
    PRIMARY KEY (to_shard, entry_id)
) ENGINE = InnoDB;

-- The last entry that was taken away here because that shard has it: one that has less was put back to an earlier state.
CREATE TABLE room_forgotten (
    to_shard SMALLINT NOT NULL PRIMARY KEY,
    entry_id BIGINT NOT NULL
) ENGINE = InnoDB;

-- How far this shard's part of the index has what each shard has to tell: written in the transaction that takes it in.
CREATE TABLE room_positions (
    shard SMALLINT NOT NULL PRIMARY KEY,
    entry_id BIGINT NOT NULL,
    -- every grab acknowledged there before this moment is in the index, in milliseconds since 1970
    as_of BIGINT NOT NULL
) ENGINE = InnoDB;

-- This shard's part of the index. The columns are those of a table of results.
CREATE TABLE room_index (
    result_id BIGINT NOT NULL,
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
    PRIMARY KEY (room_id, grab_time, result_id)
) ENGINE = InnoDB;
