-- Only for the servers' backend, where several processes share what one process holds in memory on the embedded one.

-- Which epoch of the gate is valid. One row.
CREATE TABLE gate_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    -- the last epoch that a rebuild has taken
    epoch BIGINT NOT NULL,
    -- the epoch that grabs may use; lower than `epoch` while a rebuild is under way
    open_epoch BIGINT NOT NULL
) ENGINE = InnoDB;

-- Worker numbers, which are part of every result's id. An id's time lies within its worker's lease, and leases of one
-- number never overlap: so no id is ever made twice, whatever the clocks of two machines show.
CREATE TABLE worker_leases (
    worker SMALLINT NOT NULL PRIMARY KEY,
    holder VARCHAR(64) NOT NULL,
    lease_start BIGINT NOT NULL,
    lease_end BIGINT NOT NULL
) ENGINE = InnoDB;
