//! Whom a row is played with: processes, clients, and networks between them.

use std::net::SocketAddr;
use std::slice;
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
    /// Results of the past that there are from the beginning.
    pub history: u64,
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
            history: 0,
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
    /// Between services and main.
    Main,
    /// Between services and the shards.
    Shards,
}

impl Between {
    /// The setting that leads services there, and the addresses as they are.
    fn servers(self, stage: &Stage<'_>) -> Option<(&'static str, Vec<String>)> {
        let settings = stage.site.settings();
        let (name, servers) = match self {
            Self::Nothing | Self::Clients => return None,
            Self::Redis => ("COUPON__SERVERS__REDIS", slice::from_ref(&settings.redis)),
            Self::RabbitMq => ("COUPON__SERVERS__RABBITMQ", slice::from_ref(&settings.rabbitmq)),
            Self::Main => ("COUPON__SERVERS__MAIN", slice::from_ref(&settings.main)),
            Self::Shards => ("COUPON__SERVERS__SHARDS", settings.shards.as_slice()),
        };
        Some((name, servers.iter().map(|url| url.expose().to_owned()).collect()))
    }

    /// The proxies in front of servers.
    pub(super) fn proxies(self, stage: &Stage<'_>) -> Result<Vec<Proxy>> {
        let Some((_, urls)) = self.servers(stage) else { return Ok(Vec::new()) };
        urls.iter().map(|url| Proxy::start(SocketAddr::from(([127, 0, 0, 1], port(url)?)))).collect()
    }

    /// Leads services to a proxy.
    pub(super) fn environment(
        self,
        stage: &Stage<'_>,
        proxies: &[Proxy],
    ) -> Result<Vec<(&'static str, String)>> {
        let Some((name, urls)) = self.servers(stage) else { return Ok(Vec::new()) };
        let led = urls.iter().zip(proxies).map(|(url, proxy)| {
            Ok(url.replace(&format!("127.0.0.1:{}", port(url)?), &proxy.address.to_string()))
        });
        Ok(vec![(name, led.collect::<Result<Vec<String>>>()?.join(","))])
    }
}

fn port(url: &str) -> Result<u16> {
    url::Url::parse(url)?.port().context("the server has no port")
}
