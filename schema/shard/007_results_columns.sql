-- Columns that a table of results from before lacks; new ones have them from 001_results.sql. Afterwards rows with
-- use_status = 1 get state = 2, and the unique index is made anew with the slot.

ALTER TABLE coupon_results ADD COLUMN state SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE coupon_results ADD COLUMN slot SMALLINT DEFAULT 0;
ALTER TABLE coupon_results ADD COLUMN hold_until BIGINT;
ALTER TABLE coupon_results ADD COLUMN request BIGINT;
ALTER TABLE coupon_results ADD COLUMN state_time BIGINT;
