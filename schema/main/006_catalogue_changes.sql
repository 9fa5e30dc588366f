-- A catalogue that changes while services run.

-- The version that the catalogue has reached, in its one row; before the first change there may be none.
CREATE TABLE catalogue_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    -- the last change
    version BIGINT NOT NULL,
    -- 1: a service has taken users whom this database does not know (users.unknown = "accept")
    accepts_unknown_users SMALLINT NOT NULL DEFAULT 0
) ENGINE = InnoDB;

-- Every change by an operator: one transaction with what it changed.
CREATE TABLE catalogue_changes (
    version BIGINT NOT NULL PRIMARY KEY,
    change_time BIGINT NOT NULL,
    operator VARCHAR(64) NOT NULL,
    -- in words
    what VARCHAR(1000) NOT NULL,
    coupon_id BIGINT,
    room_id BIGINT,
    -- of users who were added: the least and the greatest of them
    first_user BIGINT,
    last_user BIGINT,
    -- of a coupon that was there before: what it was on offer for until then
    total_before INT,
    start_before BIGINT,
    end_before BIGINT,
    status_before SMALLINT,
    user_limit_before SMALLINT
) ENGINE = InnoDB;

CREATE INDEX idx_change_coupon ON catalogue_changes (coupon_id, version);
