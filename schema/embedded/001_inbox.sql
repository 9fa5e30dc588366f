-- Only for SQLite, where a shard has no queue before it: under load, grabs are committed here first, a batch a row,
-- and moved into their tables many at a time. Elsewhere this table is not needed.

CREATE TABLE inbox (
    batch_id BIGINT NOT NULL PRIMARY KEY,
    -- JSON: {"coupon_results": [[result_id, user_id, coupon_id, room_id], ...], ...}; a row of a hold, of a request or in a
    -- slot above 0 has slot, hold_until and request behind these
    results TEXT NOT NULL
);
