-- Only where the database decides grabs (setting `grab.decided_by`), on its one shard: what can be sold of each coupon. A grab is one
-- transaction: a conditional UPDATE of its coupon's row here, and the row of the result.
CREATE TABLE stock (
    coupon_id BIGINT NOT NULL PRIMARY KEY,
    -- the terms that main had at that version of its catalogue
    total BIGINT NOT NULL,
    start_time BIGINT NOT NULL,
    end_time BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    -- results that take stock, parked ones included
    sold BIGINT NOT NULL,
    -- stored results that no outbox entry tells of yet: on servers, where grabs do not take turns to number entries
    untold BIGINT NOT NULL DEFAULT 0,
    -- the epoch in which it was counted what is sold; 0 on files, where it is counted at each start
    epoch BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB;
