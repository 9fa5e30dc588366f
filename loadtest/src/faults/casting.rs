//! Whom a row is played with: processes, clients, and networks between them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::proxy::Proxy;
use super::stage::Stage;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom a row is played with.
#[derive(Debug, Clone, Copy)]
pub struct Casting {
    /// The row's number.
    pub id: &'static str,
    /// The role of each process of either service.
    pub roles: &'static [&'static str],
    /// The first process that the load goes to.
    pub load_on: usize,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// Whether the services start just before midnight, by their clocks.
    pub at_midnight: bool,
    /// Which network can be broken.
    pub(super) between: Between,
}

impl Casting {
    /// Two processes that do everything, and nothing between anybody.
    pub(super) const fn plain(id: &'static str) -> Self {
        Self {
            id,
            roles: &["all", "all"],
            load_on: 0,
            patience: PATIENCE,
            at_midnight: false,
            between: Between::Nothing,
        }
    }
}

/// Where proxies are that can be told to break a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// Nowhere.
    Nothing,
    /// Between clients and services.
    Clients,
    /// Between services and Redis.
    Redis,
    /// Between services and RabbitMQ.
    RabbitMq,
}

impl Between {
    /// The setting that leads services there, and the address as it is.
    fn server(self, stage: &Stage<'_>) -> Option<(&'static str, String)> {
        let settings = stage.site.settings();
        match self {
            Self::Nothing | Self::Clients => None,
            Self::Redis => Some(("COUPON__SERVERS__REDIS", settings.redis.expose().to_owned())),
            Self::RabbitMq => Some(("COUPON__SERVERS__RABBITMQ", settings.rabbitmq.expose().to_owned())),
        }
    }

    /// The proxies in front of servers.
    pub(super) fn proxies(self, stage: &Stage<'_>) -> Result<Vec<Proxy>> {
        let Some((_, url)) = self.server(stage) else { return Ok(Vec::new()) };
        let port = url::Url::parse(&url)?.port().context("the server has no port")?;
        Ok(vec![Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)))?])
    }

    /// Leads services to a proxy.
    pub(super) fn environment(
        self,
        stage: &Stage<'_>,
        proxies: &[Proxy],
    ) -> Result<Vec<(&'static str, String)>> {
        let (Some((name, url)), Some(proxy)) = (self.server(stage), proxies.first()) else {
            return Ok(Vec::new());
        };
        let port = url::Url::parse(&url)?.port().context("the server has no port")?;
        Ok(vec![(name, url.replace(&format!("127.0.0.1:{port}"), &proxy.address.to_string()))])
    }
}
