-- Only for the servers' backend: where the gate is. One row, written by whoever fills the gate.
CREATE TABLE gate_record (
    id SMALLINT NOT NULL PRIMARY KEY,
    -- host and port of the Redis, as the process that filled it is set to reach it
    address VARCHAR(255) NOT NULL,
    -- when a process last found the open epoch there, in milliseconds since 1970 by this server's clock
    seen BIGINT NOT NULL
) ENGINE = InnoDB;
