//! The plan of a case's deployment: the processes of each service, and the proxies between them, clients and servers.

use std::net::SocketAddr;
use std::slice;

use anyhow::{Context, Result};

use super::context::CaseContext;
use super::proxy::FaultProxy;

/// The processes of each service, their data and the networks between them.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentPlan {
    /// The role of each process of either service.
    pub roles: &'static [&'static str],
    /// The first process that the load goes to.
    pub load_on: usize,
    /// The services start just before midnight, by their clocks.
    pub at_midnight: bool,
    /// The number of results of the past that there are from the beginning.
    pub history: u64,
    /// The connections that pass through proxies.
    pub(super) proxied: Proxied,
}

impl DeploymentPlan {
    /// Two processes that do everything, and no proxy.
    pub(super) const PLAIN: Self = Self {
        roles: &["all", "all"],
        load_on: 0,
        at_midnight: false,
        history: 0,
        proxied: Proxied::Nothing,
    };
}

/// The connections that pass through proxies, so that their network can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxied {
    /// None.
    Nothing,
    /// Those between clients and services.
    Clients,
    /// Those between services and Redis.
    Redis,
    /// Those between services and RabbitMQ.
    RabbitMq,
    /// Those between services and main.
    Main,
    /// Those between services and the shards.
    Shards,
}

impl Proxied {
    /// The setting that names the proxied servers to services, and the addresses of the servers themselves.
    fn servers(self, context: &CaseContext<'_>) -> Option<(&'static str, Vec<String>)> {
        let settings = context.site.settings();
        let (name, servers) = match self {
            Self::Nothing | Self::Clients => return None,
            Self::Redis => ("COUPON__SERVERS__REDIS", slice::from_ref(&settings.redis)),
            Self::RabbitMq => ("COUPON__SERVERS__RABBITMQ", slice::from_ref(&settings.rabbitmq)),
            Self::Main => ("COUPON__SERVERS__MAIN", slice::from_ref(&settings.main)),
            Self::Shards => ("COUPON__SERVERS__SHARDS", settings.shards.as_slice()),
        };
        Some((name, servers.iter().map(|url| url.expose().to_owned()).collect()))
    }

    /// Starts the proxies in front of servers.
    pub(super) fn proxies(self, context: &CaseContext<'_>) -> Result<Vec<FaultProxy>> {
        let Some((_, urls)) = self.servers(context) else { return Ok(Vec::new()) };
        urls.iter().map(|url| FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], port(url)?)))).collect()
    }

    /// The variable that leads services to the proxies instead of the servers.
    pub(super) fn environment(
        self,
        context: &CaseContext<'_>,
        proxies: &[FaultProxy],
    ) -> Result<Vec<(&'static str, String)>> {
        let Some((name, urls)) = self.servers(context) else { return Ok(Vec::new()) };
        let led = urls.iter().zip(proxies).map(|(url, proxy)| {
            Ok(url.replace(&format!("127.0.0.1:{}", port(url)?), &proxy.address.to_string()))
        });
        Ok(vec![(name, led.collect::<Result<Vec<String>>>()?.join(","))])
    }
}

fn port(url: &str) -> Result<u16> {
    url::Url::parse(url)?.port().context("the server has no port")
}
