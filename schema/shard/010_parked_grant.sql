-- Columns that parked results of before lack.

-- the hash of the name of its request; NULL where it names none, and where nobody noted it
ALTER TABLE parked_results ADD COLUMN request BIGINT;
-- the moment until which it was granted, if it was not final at once; likewise
ALTER TABLE parked_results ADD COLUMN hold_until BIGINT;
