-- A layout that changes while services run.

-- The versions of the layout: where a row is written is decided by the version that is in force at the time of its grab.
CREATE TABLE layouts (
    -- counted from 1, without gaps
    version INT NOT NULL PRIMARY KEY,
    -- the time of the first row that is written where it says; the first version has every row before, too
    valid_from BIGINT NOT NULL,
    -- every parameter that decides where a row lives, in one line
    layout TEXT NOT NULL,
    -- 1: earlier rows are being moved to where it says
    receives SMALLINT NOT NULL DEFAULT 0,
    -- 1: no row is left where it said
    closed SMALLINT NOT NULL DEFAULT 0,
    announced_at BIGINT NOT NULL,
    operator VARCHAR(64) NOT NULL,
    -- the change, in words
    what VARCHAR(1000) NOT NULL
) ENGINE = InnoDB;

-- The movement of earlier rows to the latest version, in its one row; before the first there is none.
CREATE TABLE moves (
    id SMALLINT NOT NULL PRIMARY KEY,
    to_version INT NOT NULL,
    began BIGINT NOT NULL,
    operator VARCHAR(64) NOT NULL,
    -- 1 while it goes on; 0 once it is done, or was stopped
    runs SMALLINT NOT NULL,
    -- rows to look at when it began, those that were looked at since, and those that have moved
    rows_to_look_at BIGINT NOT NULL,
    rows_looked_at BIGINT NOT NULL,
    rows_moved BIGINT NOT NULL,
    -- the most rows that move in a second
    rate BIGINT NOT NULL,
    -- why it does not go on, if it does not
    trouble VARCHAR(1000)
) ENGINE = InnoDB;
