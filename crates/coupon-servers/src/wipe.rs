//! Removes a data set from all servers.

use anyhow::{Context as _, Result, ensure};
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;

use super::at_work::processes_at_work;
use super::broker::Broker;
use super::cluster::Cluster;
use super::gate::{Link, RESPONSE, RedisServer, remove_keys};
use super::names::Names;
use super::stock;

/// Refuses a data set that services are at work on.
async fn ensure_unused(cluster: &Cluster, dataset: &str, renewals: impl Future<Output = ()>) -> Result<()> {
    let processes = processes_at_work(&cluster.main, &Clock::system(), renewals).await?;
    ensure!(
        processes == 0,
        "{}: services are at work on data set {dataset} (processes: {processes}): stop them first; one that was killed \
         counts for a minute",
        cluster.main
    );
    Ok(())
}

/// Removes the data set that main holds, if it holds one: its keys and its queues, where it has a gate, then its databases.
///
/// Main's goes last, since only main has the names of the others: wherever this is cut short, it can be run again.
/// Before anything goes, main says that the data set is incomplete, so that no process opens what is left of it.
///
/// # Errors
/// When a server does not answer, or a setting of one is missing.
pub async fn wipe(cluster: &Cluster, settings: &ServersSettings) -> Result<()> {
    let _lock = cluster.lock().await?;
    remove(cluster, settings).await
}

/// Does so unless services are at work on the data set. No process opens it in between.
///
/// A process that could not reach main for a while is waited for: `renewals` ends after the time within which every
/// process that lives has renewed its leases ([`RENEWED_WITHIN`](super::at_work::RENEWED_WITHIN)).
///
/// # Errors
/// When they are, and as for [`wipe`].
pub async fn wipe_unused(
    cluster: &Cluster,
    settings: &ServersSettings,
    renewals: impl Future<Output = ()>,
) -> Result<()> {
    let _lock = cluster.lock().await?;
    if let Some(label) = cluster.label().await? {
        ensure_unused(cluster, &label.dataset, renewals).await?;
    }
    remove(cluster, settings).await
}

/// Does so for a caller that has the lock.
pub(super) async fn remove(cluster: &Cluster, settings: &ServersSettings) -> Result<()> {
    let Some(label) = cluster.label().await? else { return cluster.remove_databases().await };
    // It may have more shards than the strategy to come.
    let whole = cluster.recorded().await?;
    let names = cluster.names(&label.dataset);
    whole.mark_incomplete().await?;
    if stock::may_have_gate(&whole.main, settings).await? {
        remove_gate(&names, u16::try_from(whole.shards.len())?, settings).await?;
    }
    whole.remove_databases().await
}

/// Removes its keys from Redis, and its queues from RabbitMQ.
async fn remove_gate(names: &Names, shards: u16, settings: &ServersSettings) -> Result<()> {
    let (broker, gates) = (Broker::new(&settings.rabbitmq)?, RedisServer::list(&settings.redis)?);
    for redis in gates.iter() {
        // Its own error names the setting.
        drop(redis.connect().await?);
        remove_keys(&Link::new(redis.clone(), RESPONSE), &names.every_key(), |_| true)
            .await
            .context("cannot remove its keys from Redis")?;
    }
    let admin = broker.admin().await?;
    admin.remove(names, shards).await?;
    admin.close().await;
    Ok(())
}
