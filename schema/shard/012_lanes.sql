-- Only for the servers' backend: columns that small tables of before lack. The lane of a row, where several may be in one
-- database; a shard that is run by hand is one lane, and has the same value everywhere.

ALTER TABLE outbox ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE parked_results ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE shard_meta ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE holds ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE shard_state ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE markers ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
ALTER TABLE releases ADD COLUMN lane VARBINARY(1) NOT NULL DEFAULT X'00';
