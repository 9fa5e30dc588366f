//! Holds the gate of servers against what their shards store, and changes neither.

use std::num::NonZeroU16;

use anyhow::{Result, bail};
use coupon_core::Timestamp;
use coupon_store::servers::cluster::Cluster;
use coupon_store::servers::verify::{Differences, verify};
use coupon_store::settings::ServersSettings;

use crate::databases::namespace;

/// Looks for what gate and shards do not both have. Services may be running.
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
    let namespace = namespace(settings, strategy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let one = Cluster::with(settings, namespace.clone(), NonZeroU16::MIN)?;
        let Some(label) = one.label().await? else { bail!("{}: it holds no data set", one.main) };
        verify(&Cluster::with(settings, namespace, label.shard_count())?, settings, now).await
    })
}
