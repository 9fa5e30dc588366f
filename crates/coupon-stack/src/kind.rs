//! The differences between the kinds of servers.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::engine::{self, Tablet};
use crate::node::Node;
use crate::process::Launch;
use crate::programs::Programs;
use crate::record::Part;
use crate::tls::Tls;
use crate::{Server, mysql, rabbitmq, redis};

/// The time that a server which has accepted a connection may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A server's files, ports and certificates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) dir: &'a Path,
    pub(crate) ports: &'a [u16],
    /// The port of Erlang's port mapper.
    pub(crate) epmd: u16,
    /// The part of a database server in a pair; none where databases have no replicas.
    pub(crate) part: Option<Part>,
    /// The number of nodes of RabbitMQ, all of one cluster.
    pub(crate) rabbitmq: NonZeroU16,
    /// The port of the Redis that is the primary at first.
    pub(crate) redis: u16,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) log: &'a Path,
    /// True when it begins anew, and does not go on after it was stopped.
    pub(crate) begins: bool,
    /// All servers of the stack.
    pub(crate) peers: &'a [Node],
}

impl Place<'_> {
    /// The engine's etcd.
    fn etcd(&self) -> Result<u16> {
        let name = Server::Etcd.to_string();
        let found = self.peers.iter().find(|node| node.name() == name);
        Ok(found.context("this stack has no etcd")?.port())
    }

    /// The database server below a tablet: the shards' servers take turns.
    fn below(&self, tablet: Tablet) -> Result<&Node> {
        let logged = |node: &&Node| node.kind() == ServerKind::MySql { logged: true };
        let servers: Vec<&Node> = self.peers.iter().filter(logged).collect();
        let server = servers.into_iter().cycle().nth(usize::from(tablet.number));
        server.context("this stack has no database server for an engine")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// `logged`: it keeps the log that an engine copies from.
    MySql {
        logged: bool,
    },
    Redis,
    /// A Redis that is a replica at first.
    RedisReplica,
    Sentinel,
    RabbitMq,
    /// Erlang's port mapper.
    Epmd,
    Etcd,
    Vtctld,
    Tablet(Tablet),
    Vtgate,
}

impl ServerKind {
    /// The number of ports it takes; the first is the one that others connect to.
    pub(crate) fn ports(self) -> usize {
        match self {
            Self::MySql { .. } | Self::Redis | Self::RedisReplica | Self::Sentinel | Self::Epmd => 1,
            Self::RabbitMq | Self::Etcd | Self::Vtctld | Self::Tablet(_) => 2,
            Self::Vtgate => 3,
        }
    }

    /// True for what speaks to other servers until it has ended.
    pub(crate) fn needs_others(self) -> bool {
        matches!(self, Self::Vtctld | Self::Tablet(_) | Self::Vtgate)
    }

    /// Writes its settings, and says how to start it.
    pub(crate) fn launch(self, programs: &Programs, place: Place<'_>, password: &str) -> Result<Launch> {
        let Place { epmd, redis, log, .. } = place;
        let mut ports = place.ports.iter().copied();
        let mut port = || ports.next().context("it has no port");
        match self {
            Self::MySql { logged } => mysql::launch(&programs.mysql, logged, port()?, place, password),
            Self::Redis => redis::launch(&programs.redis, &place, port()?, password, None),
            Self::RedisReplica => redis::launch(&programs.redis, &place, port()?, password, Some(redis)),
            Self::Sentinel => redis::sentinel(&programs.redis, &place, port()?, password, redis),
            Self::RabbitMq => {
                let ports = rabbitmq::Ports { amqp: port()?, distribution: port()?, epmd };
                rabbitmq::launch(programs, place, ports, password)
            }
            Self::Epmd => Ok(rabbitmq::epmd(programs, port()?, log)),
            Self::Etcd => engine::etcd(programs.engine()?, place, port()?, port()?),
            Self::Vtctld => {
                let ports = engine::ProgramPorts { grpc: port()?, http: port()? };
                engine::vtctld(programs.engine()?, place, ports, place.etcd()?)
            }
            Self::Tablet(tablet) => {
                let ports = engine::ProgramPorts { http: port()?, grpc: port()? };
                let below = place.below(tablet)?;
                let database = engine::Database { port: below.port(), password: below.password() };
                engine::tablet(programs.engine()?, place, ports, place.etcd()?, tablet, database)
            }
            Self::Vtgate => {
                let mysql = port()?;
                let ports = engine::ProgramPorts { http: port()?, grpc: port()? };
                engine::vtgate(programs.engine()?, place, mysql, ports, place.etcd()?, password)
            }
        }
    }

    /// Connects and waits for the server's first words.
    pub(crate) fn answers(self, port: u16, password: &str, encrypted: bool) -> Result<()> {
        let mut stream = connected(port)?;
        match self {
            // It encrypts from the second packet on.
            Self::MySql { .. } | Self::Vtgate => mysql::greets(&mut stream),
            // Its first words would be encrypted. That it listens is all that can be asked of it.
            _ if encrypted => Ok(()),
            Self::Redis | Self::RedisReplica | Self::Sentinel => redis::pongs(&mut stream, password),
            Self::RabbitMq => rabbitmq::greets(&mut stream),
            Self::Etcd => engine::lives(&mut stream, "/health"),
            Self::Tablet(_) => engine::lives(&mut stream, "/debug/liveness"),
            // That it listens is all that can be asked of it.
            Self::Epmd | Self::Vtctld => Ok(()),
        }
    }

    /// Says whether a server has what it needs from others: asked once they have all been started.
    pub(crate) fn is_in_place(self, port: u16, password: &str) -> Result<()> {
        match self {
            Self::RedisReplica => redis::follows(&mut connected(port)?, password),
            Self::Sentinel => redis::may_elect(&mut connected(port)?, password),
            _ => Ok(()),
        }
    }

    pub(crate) fn url(self, port: u16, password: &str, encrypted: bool) -> String {
        let (s, ssl) = if encrypted { ("s", "?require_ssl=true") } else { ("", "") };
        match self {
            Self::MySql { .. } => format!("mysql://{}:{password}@127.0.0.1:{port}{ssl}", mysql::USER),
            Self::Redis | Self::RedisReplica | Self::Sentinel => {
                format!("redis{s}://:{password}@127.0.0.1:{port}")
            }
            Self::RabbitMq => format!("amqp{s}://{}:{password}@127.0.0.1:{port}/%2f", rabbitmq::USER),
            Self::Epmd => format!("epmd://127.0.0.1:{port}"),
            Self::Etcd | Self::Tablet(_) => format!("http://127.0.0.1:{port}"),
            Self::Vtctld => format!("grpc://127.0.0.1:{port}"),
            Self::Vtgate => {
                format!("mysql://{}:{password}@127.0.0.1:{port}/{}", mysql::USER, engine::KEYSPACE)
            }
        }
    }
}

/// A connection to a server of this machine.
pub(crate) fn connected(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// True when a log says that another process was faster to take a port.
pub(crate) fn port_was_taken(log: &str) -> bool {
    let log = log.to_ascii_lowercase();
    ["already in use", "eaddrinuse", "dist_port_already_used"].iter().any(|words| log.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_own_words_for_a_port_that_is_taken() {
        for log in [
            "[ERROR] Can't start server: Bind on TCP/IP port. Got error: 98: Address already in use",
            "# Warning: Could not create server TCP listening socket 127.0.0.1:25776: bind: Address already in use",
            "{listen_error,{acceptor,{127,0,0,1},21129},eaddrinuse}",
            "{failed_to_start_child,prelaunch,{dist_port_already_used,15826,not_erlang,\"localhost\"}}",
            "epmd: error in bind(): Address already in use",
        ] {
            assert!(port_was_taken(log), "{log}");
        }
        assert!(!port_was_taken("[ERROR] InnoDB: Plugin initialization aborted"));
    }
}
