-- Only for the servers' backend: what a shard's consumers share. The row is written in every transaction that stores
-- results, which also makes those transactions take turns.
CREATE TABLE shard_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    -- a consumer of another data set changes nothing here
    dataset VARCHAR(64) NOT NULL,
    -- the last entry of the outbox: entries are numbered in the order of their commits, without gaps
    outbox_id BIGINT NOT NULL,
    -- results of this epoch of the gate, and of earlier ones, are not stored any more
    closed_epoch BIGINT NOT NULL,
    -- every grab acknowledged before this moment is stored
    as_of BIGINT NOT NULL,
    -- sums over all results stored
    results BIGINT NOT NULL,
    used BIGINT NOT NULL,
    order_amount DECIMAL(20, 2) NOT NULL,
    -- messages taken from the queue, and the results in them
    messages BIGINT NOT NULL,
    received BIGINT NOT NULL,
    commits BIGINT NOT NULL
) ENGINE = InnoDB;

-- Markers that have come through the shard's queue: everything handed over before one has been stored.
CREATE TABLE markers (
    marker_id VARCHAR(64) NOT NULL PRIMARY KEY,
    commit_time BIGINT NOT NULL
) ENGINE = InnoDB;
