-- Only for the servers' backend: a column that `processes` of before lacks.

-- the number of shards that the process has opened
ALTER TABLE processes ADD COLUMN shards SMALLINT NOT NULL DEFAULT 0;
