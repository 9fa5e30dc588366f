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
    /// Redis: the gate.
    Redis,
    /// RabbitMQ: the hand-over.
    RabbitMq,
    /// The engine's etcd, which knows what there is of it.
    Etcd,
    /// The engine's vtctld, which changes it.
    Vtctld,
    /// A tablet of the engine: its server for one shard. Counted from 0; a number is used once.
    Tablet(u16),
    /// The engine's vtgate: its one address.
    Vtgate,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Main => "main".to_owned(),
            Self::Shard(shard) => format!("shard-{shard}"),
            Self::Redis => "redis".to_owned(),
            Self::RabbitMq => "rabbitmq".to_owned(),
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
        let engine = "an engine's are etcd, vtctld, tablet-0 and so on, vtgate";
        write!(f, "{:?} is no server: main, shard-0, shard-1 and so on, redis, rabbitmq; {engine}", self.0)
    }
}

impl std::error::Error for UnknownServer {}

impl FromStr for Server {
    type Err = UnknownServer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let number = |prefix: &str| -> Option<u16> { name.strip_prefix(prefix)?.parse().ok() };
        match name {
            "main" => Some(Self::Main),
            "redis" => Some(Self::Redis),
            "rabbitmq" => Some(Self::RabbitMq),
            "etcd" => Some(Self::Etcd),
            "vtctld" => Some(Self::Vtctld),
            "vtgate" => Some(Self::Vtgate),
            _ => number("shard-").map(Self::Shard).or_else(|| number("tablet-").map(Self::Tablet)),
        }
        .ok_or_else(|| UnknownServer(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_read_back_is_the_same_server() {
        for server in [
            Server::Main,
            Server::Shard(2),
            Server::Redis,
            Server::RabbitMq,
            Server::Etcd,
            Server::Vtctld,
            Server::Tablet(11),
            Server::Vtgate,
        ] {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        for name in ["", "shard", "shard--1", "shard-x", "shard-70000", "tablet-", "mysql"] {
            let error = name.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains("shard-0") && error.contains("rabbitmq"), "{error}");
        }
    }
}
