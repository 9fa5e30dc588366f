//! The databases that a command means, and the lock by which only one command at a time has their books in hand.

use std::num::NonZeroU16;

use anyhow::{Result, bail, ensure};
use coupon_servers::cluster::Cluster;
use coupon_servers::names::Namespace;
use coupon_store::settings::ServersSettings;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

/// The prefix of the databases' names: `servers.namespace`, or else the name of the strategy.
pub(crate) fn namespace(settings: &ServersSettings, strategy: Option<&str>) -> Result<Namespace> {
    ensure!(
        strategy.is_some() || !settings.namespace.is_empty(),
        "--strategy is missing: it says whose databases are meant; or set servers.namespace"
    );
    Ok(Namespace::new(&settings.namespace, strategy.unwrap_or_default())?)
}

/// The databases of the data set that is there, as many shards as it has, and the data set's id.
pub(crate) async fn open(settings: &ServersSettings, namespace: Namespace) -> Result<(Cluster, String)> {
    let one = Cluster::with(settings, namespace, NonZeroU16::MIN)?;
    let Some(label) = one.label().await? else { bail!("{}: it holds no data set", one.main) };
    label.ensure_complete(&one.main)?;
    label.ensure_by_hand(&one.main)?;
    ensure!(
        !label.of_before,
        "{}: an earlier version made its data set: start a service of this one, which brings it up to date",
        one.main
    );
    let cluster = one.recorded().await?;
    cluster.update_main().await?;
    for (shard, _) in cluster.numbered() {
        cluster.check_shard(shard, &label.dataset).await?;
    }
    Ok((cluster, label.dataset))
}

/// Takes the books in hand, for as long as the connection lasts: one archive or rebuild at a time has them, and no row moves
/// meanwhile.
pub(crate) async fn alone(cluster: &Cluster) -> Result<Conn> {
    let main = &cluster.main;
    let mut conn = main.connect_alone().await?;
    let mine: Option<Option<i64>> =
        conn.exec_first("SELECT GET_LOCK(?, 0)", (cluster.archive_lock(),)).await?;
    ensure!(
        mine.flatten() == Some(1),
        "{main}: another archive, a rebuild of the books, or a copy is at work on this data set, or rows are being moved: wait \
         for the end (a rebalance can be stopped)"
    );
    for (shard, database) in cluster.numbered() {
        let mut there = database.connect().await?;
        let leaving: Option<i64> = there.query_first("SELECT COUNT(*) FROM leaving").await?;
        ensure!(
            leaving.unwrap_or_default() == 0,
            "{database}: results of shard {shard} are on their way to other places, since a rebalance was cut short: let it go \
             on, and stop it then or wait for its end"
        );
    }
    Ok(conn)
}
