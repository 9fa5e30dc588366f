-- A new server of a pair takes no writes before deploy/ha/mysql-pairs has found out which one is to. Kept through restarts.
SET PERSIST_ONLY read_only = ON;
SET PERSIST_ONLY super_read_only = ON;
