-- Only for the servers' backend: the server of each shard, as its place in `servers.shards`, counted from 0. A shard stays
-- where it was made when the list grows.
CREATE TABLE shard_places (
    shard SMALLINT NOT NULL PRIMARY KEY,
    server SMALLINT NOT NULL
) ENGINE = InnoDB;
