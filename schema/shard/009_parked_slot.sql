-- A column that parked results of before lack.

-- the slot in which it was granted; NULL where nobody noted it: then it counts as the first
ALTER TABLE parked_results ADD COLUMN slot SMALLINT;
