//! A Redis that fails over among the servers of a stack.

use std::net::TcpStream;

use anyhow::{Context as _, Result};

use super::Stack;
use crate::kind::{ServerKind, connected};
use crate::node::Node;
use crate::{Server, redis};

impl Stack {
    /// The Redis that takes reservations now: where there are Sentinels, the one that they name.
    ///
    /// # Errors
    /// When the first Sentinel that runs does not say.
    pub fn primary_redis(&self) -> Result<Server> {
        let Some(port) = self.of_a_sentinel(redis::elected)? else { return Ok(Server::Redis) };
        let mut servers = [Server::Redis, Server::RedisReplica].into_iter();
        let found = servers.find(|server| self.node(*server).is_ok_and(|node| node.port() == port));
        found.with_context(|| format!("no Redis of this stack has port {port}"))
    }

    /// Has Sentinels put the replica of Redis in its place, as an operator would.
    ///
    /// # Errors
    /// When there are none, or they refuse: the replica does not follow yet, or they are at it.
    pub fn fail_over_redis(&self) -> Result<()> {
        self.of_a_sentinel(redis::fail_over)?.context("this stack has no Sentinels")
    }

    /// What the first Sentinel that runs answers, if there are any.
    fn of_a_sentinel<T>(&self, ask: impl FnOnce(&mut TcpStream, &str) -> Result<T>) -> Result<Option<T>> {
        let runs = |node: &&Node| node.identity().is_some();
        let Some(sentinel) = self.of_kind(ServerKind::Sentinel).find(runs) else { return Ok(None) };
        ask(&mut connected(sentinel.port())?, &sentinel.record().password)
            .map(Some)
            .with_context(|| sentinel.name().to_owned())
    }
}
