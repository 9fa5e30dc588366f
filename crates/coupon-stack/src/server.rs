//! Names of the servers of a stack.

use std::fmt;
use std::str::FromStr;

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
    /// Redis: the gate.
    Redis,
    /// RabbitMQ: the hand-over.
    RabbitMq,
}

impl Server {
    /// All servers of a stack with so many shards, and replicas or none, in the order in which they are shown.
    pub(crate) fn all(shards: u16, replicas: bool) -> impl Iterator<Item = Self> {
        let databases = [Self::Main].into_iter().chain((0..shards).map(Self::Shard));
        let databases = databases.flat_map(move |server| {
            [Some(server), server.other().filter(|_| replicas)].into_iter().flatten()
        });
        databases.chain([Self::Redis, Self::RabbitMq])
    }

    /// The other server of a pair: a database's replica, or the database whose replica it is.
    pub(crate) fn other(self) -> Option<Self> {
        match self {
            Self::Main => Some(Self::MainReplica),
            Self::MainReplica => Some(Self::Main),
            Self::Shard(shard) => Some(Self::ShardReplica(shard)),
            Self::ShardReplica(shard) => Some(Self::Shard(shard)),
            Self::Redis | Self::RabbitMq => None,
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
            Self::RabbitMq => "rabbitmq".to_owned(),
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
            "{:?} is no server: main, shard-0, shard-1 and so on, with -replica behind it, redis, rabbitmq",
            self.0
        )
    }
}

impl std::error::Error for UnknownServer {}

impl FromStr for Server {
    type Err = UnknownServer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (of, is_replica) = name.strip_suffix("-replica").map_or((name, false), |of| (of, true));
        let shard = || of.strip_prefix("shard-")?.parse().ok().map(Self::Shard);
        if is_replica {
            let of = if of == "main" { Some(Self::Main) } else { shard() };
            return of.and_then(Self::other).ok_or_else(|| UnknownServer(name.to_owned()));
        }
        match name {
            "main" => Some(Self::Main),
            "redis" => Some(Self::Redis),
            "rabbitmq" => Some(Self::RabbitMq),
            _ => shard(),
        }
        .ok_or_else(|| UnknownServer(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_read_back_is_the_same_server() {
        for server in Server::all(3, true) {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
        assert_eq!(Server::all(3, false).count(), 6);
        assert_eq!(Server::all(3, true).count(), 10);
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        for name in ["", "shard", "shard--1", "shard-x", "shard-70000", "redis-replica", "-replica", "mysql"]
        {
            let error = name.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains("shard-0") && error.contains("rabbitmq"), "{error}");
        }
    }
}
