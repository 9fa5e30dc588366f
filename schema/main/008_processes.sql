-- Only for the servers' backend: what several processes need to follow a catalogue that changes.

-- The processes that live, and the version of the catalogue that each goes by.
CREATE TABLE processes (
    holder VARCHAR(64) NOT NULL PRIMARY KEY,
    -- for people
    name VARCHAR(255) NOT NULL,
    -- when it was last heard of, in milliseconds since 1970 by this server's clock
    seen BIGINT NOT NULL,
    catalogue_version BIGINT NOT NULL
) ENGINE = InnoDB;

-- Coupons that were made while services run, and had never been known before: no result of one is older than the version.
CREATE TABLE coupons_made (
    coupon_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
) ENGINE = InnoDB;
