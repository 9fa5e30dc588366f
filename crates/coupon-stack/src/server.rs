//! Names of the servers of a stack.

use std::fmt;
use std::str::FromStr;

use crate::redis::SENTINELS;
use crate::topology::Topology;

/// A server of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Server {
    /// The main database: the catalogue.
    Main,
    /// The database of one shard, counted from 0.
    Shard(u16),
    /// The replica of the main database, or what was one.
    MainReplica,
    /// The replica of a shard's database, or what was one.
    ShardReplica(u16),
    /// Redis: the gate, or the first of several.
    Redis,
    /// The Redis of a further gate, counted from 1.
    Gate(u16),
    /// Its replica at first, where there are Sentinels.
    RedisReplica,
    /// One of the Sentinels, counted from 0, where there are any.
    Sentinel(u8),
    /// A node of RabbitMQ, counted from 0: the hand-over.
    RabbitMq(u16),
    /// The engine's etcd, which knows what there is of it.
    Etcd,
    /// The engine's vtctld, which changes it.
    Vtctld,
    /// A tablet of the engine: its server for one shard. Counted from 0; a number is used once.
    Tablet(u16),
    /// The engine's vtgate: its one address.
    Vtgate,
}

impl Server {
    /// All servers of such a stack but for an engine's, in the order in which they are shown.
    pub(crate) fn all(topology: &Topology) -> impl Iterator<Item = Self> + use<> {
        let Topology { shards, replicas, redis, redis_sentinel, .. } = *topology;
        let databases = [Self::Main].into_iter().chain((0..shards.get()).map(Self::Shard));
        let databases = databases.flat_map(move |server| {
            [Some(server), server.other().filter(|_| replicas)].into_iter().flatten()
        });
        let replica = redis_sentinel.then_some(Self::RedisReplica);
        let sentinels = (0..if redis_sentinel { SENTINELS } else { 0 }).map(Self::Sentinel);
        let gates = [Self::Redis].into_iter().chain((1..redis.get()).map(Self::Gate));
        let redis = gates.chain(replica).chain(sentinels);
        databases.chain(redis).chain(Self::nodes_of_rabbitmq(topology))
    }

    /// The nodes of RabbitMQ of such a stack.
    pub(crate) fn nodes_of_rabbitmq(topology: &Topology) -> impl Iterator<Item = Self> + use<> {
        (0..topology.rabbitmq.get()).map(Self::RabbitMq)
    }

    /// The other server of a pair: a database's replica, or the database whose replica it is.
    #[must_use]
    pub fn other(self) -> Option<Self> {
        match self {
            Self::Main => Some(Self::MainReplica),
            Self::MainReplica => Some(Self::Main),
            Self::Shard(shard) => Some(Self::ShardReplica(shard)),
            Self::ShardReplica(shard) => Some(Self::Shard(shard)),
            Self::Redis | Self::Gate(_) | Self::RedisReplica | Self::Sentinel(_) | Self::RabbitMq(_) => None,
            Self::Etcd | Self::Vtctld | Self::Tablet(_) | Self::Vtgate => None,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Main => "main".to_owned(),
            Self::Shard(shard) => format!("shard-{shard}"),
            Self::MainReplica => "main-replica".to_owned(),
            Self::ShardReplica(shard) => format!("shard-{shard}-replica"),
            Self::Redis => "redis".to_owned(),
            Self::Gate(number) => format!("redis-{number}"),
            Self::RedisReplica => "redis-replica".to_owned(),
            Self::Sentinel(number) => format!("sentinel-{number}"),
            Self::RabbitMq(0) => "rabbitmq".to_owned(),
            Self::RabbitMq(node) => format!("rabbitmq-{node}"),
            Self::Etcd => "etcd".to_owned(),
            Self::Vtctld => "vtctld".to_owned(),
            Self::Tablet(tablet) => format!("tablet-{tablet}"),
            Self::Vtgate => "vtgate".to_owned(),
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
            "{:?} is no server: main, shard-0, shard-1 and so on, main-replica, shard-0-replica and so on, redis, \
             redis-1 and so on, redis-replica, sentinel-0 and so on, rabbitmq, rabbitmq-1 and so on; of an engine etcd, \
             vtctld, tablet-0 and so on, vtgate",
            self.0
        )
    }
}

impl std::error::Error for UnknownServer {}

impl FromStr for Server {
    type Err = UnknownServer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let number = |kind: &str| name.strip_prefix(kind)?.parse::<u16>().ok();
        let replica = || name.strip_prefix("shard-")?.strip_suffix("-replica")?.parse::<u16>().ok();
        let sentinel = || number("sentinel-").and_then(|number| number.try_into().ok()).map(Self::Sentinel);
        let further = |kind| number(kind).filter(|number| *number > 0);
        match name {
            "main" => Some(Self::Main),
            "main-replica" => Some(Self::MainReplica),
            "redis" => Some(Self::Redis),
            "redis-replica" => Some(Self::RedisReplica),
            "rabbitmq" => Some(Self::RabbitMq(0)),
            "etcd" => Some(Self::Etcd),
            "vtctld" => Some(Self::Vtctld),
            "vtgate" => Some(Self::Vtgate),
            _ => number("shard-")
                .map(Self::Shard)
                .or_else(|| replica().map(Self::ShardReplica))
                .or_else(sentinel)
                .or_else(|| further("rabbitmq-").map(Self::RabbitMq))
                .or_else(|| further("redis-").map(Self::Gate))
                .or_else(|| number("tablet-").map(Self::Tablet)),
        }
        .ok_or_else(|| UnknownServer(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn a_name_read_back_is_the_same_server() {
        let three = NonZeroU16::new(3).unwrap();
        let small = Topology { shards: three, ..Topology::default() };
        let large = Topology { replicas: true, redis_sentinel: true, rabbitmq: three, ..small };
        let gates = Topology { redis: three, ..small };
        let of_engine = [Server::Etcd, Server::Vtctld, Server::Tablet(11), Server::Vtgate];
        for server in Server::all(&large).chain(Server::all(&gates)).chain(of_engine) {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
        assert_eq!([small, large, gates].map(|topology| Server::all(&topology).count()), [6, 16, 8]);
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        for name in
            ["", "shard", "shard--1", "shard-x", "shard-70000", "-replica", "rabbitmq-0", "tablet-", "mysql"]
        {
            let error = name.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains("shard-0") && error.contains("rabbitmq"), "{error}");
        }
    }
}
