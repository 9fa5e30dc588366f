-- Only for the servers' backend: columns that `shard_state` of before lacks.

-- results, among all that are stored, that gave their stock back
ALTER TABLE shard_state ADD COLUMN given_back BIGINT NOT NULL DEFAULT 0;
