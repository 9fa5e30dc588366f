//! Names of the servers of a stack.

use std::fmt;
use std::str::FromStr;

use crate::redis::SENTINELS;

/// A server of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Server {
    /// The main database: the catalogue.
    Main,
    /// The database of one shard, counted from 0.
    Shard(u16),
    /// Redis: the gate.
    Redis,
    /// Its replica at first, where there are Sentinels.
    RedisReplica,
    /// One of the Sentinels, counted from 0, where there are any.
    Sentinel(u8),
    /// A node of RabbitMQ, counted from 0: the hand-over.
    RabbitMq(u16),
}

impl Server {
    /// All servers of a stack with so many shards and nodes of RabbitMQ, with or without Sentinels, in the order in which they
    /// are shown.
    pub(crate) fn all(shards: u16, rabbitmq: u16, sentinels: bool) -> impl Iterator<Item = Self> {
        let shards = (0..shards).map(Self::Shard);
        let replica = sentinels.then_some(Self::RedisReplica);
        let sentinels = (0..if sentinels { SENTINELS } else { 0 }).map(Self::Sentinel);
        let redis = [Self::Redis].into_iter().chain(replica).chain(sentinels);
        let rabbitmq = (0..rabbitmq).map(Self::RabbitMq);
        [Self::Main].into_iter().chain(shards).chain(redis).chain(rabbitmq)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Main => "main".to_owned(),
            Self::Shard(shard) => format!("shard-{shard}"),
            Self::Redis => "redis".to_owned(),
            Self::RedisReplica => "redis-replica".to_owned(),
            Self::Sentinel(number) => format!("sentinel-{number}"),
            Self::RabbitMq(0) => "rabbitmq".to_owned(),
            Self::RabbitMq(node) => format!("rabbitmq-{node}"),
        };
        f.pad(&name)
    }
}

/// A name that no server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownServer(String);

impl fmt::Display for UnknownServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no server: main, shard-0, shard-1 and so on, redis, redis-replica, sentinel-0 and so on, rabbitmq, \
             rabbitmq-1 and so on",
            self.0
        )
    }
}

impl std::error::Error for UnknownServer {}

impl FromStr for Server {
    type Err = UnknownServer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let number = |kind: &str| name.strip_prefix(kind)?.parse::<u16>().ok();
        let sentinel = || number("sentinel-").and_then(|number| number.try_into().ok()).map(Self::Sentinel);
        let further = || number("rabbitmq-").filter(|node| *node > 0).map(Self::RabbitMq);
        match name {
            "main" => Some(Self::Main),
            "redis" => Some(Self::Redis),
            "redis-replica" => Some(Self::RedisReplica),
            "rabbitmq" => Some(Self::RabbitMq(0)),
            _ => number("shard-").map(Self::Shard).or_else(sentinel).or_else(further),
        }
        .ok_or_else(|| UnknownServer(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_read_back_is_the_same_server() {
        for server in Server::all(3, 3, true) {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
        assert_eq!([false, true].map(|sentinels| Server::all(3, 1, sentinels).count()), [6, 10]);
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        for name in ["", "shard", "shard--1", "shard-x", "shard-70000", "rabbitmq-0", "mysql"] {
            let error = name.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains("shard-0") && error.contains("rabbitmq"), "{error}");
        }
    }
}
