//! The auditor's view of a data set on servers, which shares no code with what wrote it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use coupon_audit::{Addresses, Data, Differences, Servers};
use coupon_core::Timestamp;
use coupon_store::settings::{ServerUrl, ServersSettings};

use super::databases::namespace;

/// The data of a namespace on the servers that settings name, for the auditor.
///
/// # Errors
/// When a setting is missing or cannot be used; the error names it.
pub fn audited(settings: &ServersSettings, namespace: &str) -> Result<Data> {
    Ok(Data::Servers(Box::new(servers(settings, namespace)?)))
}

fn servers(settings: &ServersSettings, namespace: &str) -> Result<Servers> {
    let exposed = |url: &ServerUrl| url.expose().to_owned();
    let addresses = Addresses {
        main: exposed(&settings.main),
        shards: settings.shards.iter().map(exposed).collect(),
        engine: exposed(&settings.engine),
        redis: settings.redis.iter().map(exposed).collect(),
        ca_file: settings.main.ca_file().map(Path::to_owned),
        reconcile: Duration::from_millis(settings.reconcile_ms.get()),
    };
    Servers::new(addresses, namespace)
}

/// Looks for what gate and shards do not both have, and changes neither. Services may be running.
///
/// The databases are those of `servers.namespace`, or else of the strategy's name. `now` decides which coupons are
/// still on offer: the gate keeps no others.
///
/// # Errors
/// When a server cannot be read, or the gate is shut. A difference is no error.
pub fn verify_servers(
    settings: &ServersSettings,
    strategy: Option<&str>,
    now: Timestamp,
) -> Result<Differences> {
    servers(settings, namespace(settings, strategy)?.as_str())?.verify(now)
}
