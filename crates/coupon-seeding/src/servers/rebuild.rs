//! Main's books anew, on servers, once main has been put back to an earlier state.

use anyhow::Result;
use coupon_core::Timestamp;
use coupon_servers::rebuild::{Rebuilt, rebuild};
use coupon_store::settings::ServersSettings;

use super::databases::{alone, namespace, open};

/// Looks for changes that main applied and has forgotten and, if that is to be mended, makes its books anew from the
/// shards' rows. Services may be running.
///
/// The databases are those of `servers.namespace` or, without it, of the name of the strategy. `now` is the time of what
/// is written to the log.
///
/// # Errors
/// When a database cannot be used, the data set is incomplete, a shard has fewer rows than main applied or other rows
/// than it counts itself, or an archive or another rebuild is at work; then nothing is changed.
pub fn rebuild_servers(
    settings: &ServersSettings,
    strategy: Option<&str>,
    mend: bool,
    now: Timestamp,
) -> Result<Rebuilt> {
    let namespace = namespace(settings, strategy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (cluster, dataset) = open(settings, namespace).await?;
        let lock = alone(&cluster).await?;
        let rebuilt = rebuild(&cluster, &dataset, mend, now).await;
        // The lock goes with the connection.
        let _ = lock.disconnect().await;
        rebuilt
    })
}
