-- Only for the servers' backend: the gates of a data set that has several. That of a data set with one alone is in `gate_state`
-- and `gate_record`. Where there are several, the row of `gate_state` has a key of its own, and an epoch that never opens: what was
-- granted before there were these gates is of that epoch, or of an earlier one.
CREATE TABLE gates (
    -- its place in `servers.redis`, counted from 0
    gate SMALLINT NOT NULL PRIMARY KEY,
    -- as the setting names it, without user and password
    named VARCHAR(1000) NOT NULL,
    -- the last epoch of the gate that was taken, and the last that was opened
    epoch BIGINT NOT NULL,
    open_epoch BIGINT NOT NULL,
    -- as in `gate_record`; empty before it was filled
    address VARCHAR(255) NOT NULL,
    seen BIGINT NOT NULL
) ENGINE = InnoDB;
