-- Only for the servers' backend: a column that `gate_state` of before lacks.

-- the number of times that the list of gates was changed
ALTER TABLE gate_state ADD COLUMN gate_list BIGINT NOT NULL DEFAULT 0;
