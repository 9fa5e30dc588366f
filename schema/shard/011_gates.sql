-- Only for the servers' backend: columns that `shard_state` of before lacks.

-- the list of gates that the shard goes by, as main counts them
ALTER TABLE shard_state ADD COLUMN gate_list BIGINT NOT NULL DEFAULT 0;
-- where there are several gates, the last epoch of each that is closed: `gate=epoch`, with commas between them; one that
-- `closed_epoch` is later than counts as that
ALTER TABLE shard_state ADD COLUMN closed_epochs VARCHAR(400) NOT NULL DEFAULT '';
