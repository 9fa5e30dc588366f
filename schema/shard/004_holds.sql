-- The results that are held and will expire: the list of those that are due next. A row for each result in state 0 (held),
-- written in the transaction that stores it, and deleted in the one that changes it. So what is not held costs nothing.

CREATE TABLE holds (
    hold_until BIGINT NOT NULL,
    result_id BIGINT NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    PRIMARY KEY (hold_until, result_id)
) ENGINE = InnoDB;
