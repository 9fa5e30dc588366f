//! Brings a data set of an earlier version up to date when a service opens it.
//!
//! Every step looks at what is there, and the format that main has of it changes last: where this is cut short, the next
//! start goes on. From then on the earlier version refuses the data set by its format. Processes of it that are at work
//! would go on writing rows as they know them, so they have to be stopped first. One that was frozen, and is not seen, finds
//! no row of state any more under the key that it knows.

use anyhow::{Result, ensure};
use coupon_core::ShardId;
use coupon_store::clock::Clock;
use mysql_async::prelude::Queryable as _;

use super::at_work::{RENEWED_WITHIN, processes_at_work};
use super::cluster::{Cluster, Label};
use super::format::take_over;
use super::mysql::{Database, DatabaseError};

/// Refuses a data set of an earlier version on which processes are at work: they can only be of that version, since
/// later ones bring it up to date before they lease anything.
pub(super) async fn refuse_processes_of_before(main: &Database, label: &Label) -> Result<()> {
    let processes = processes_at_work(main, &Clock::system(), tokio::time::sleep(RENEWED_WITHIN)).await?;
    ensure!(
        processes == 0,
        "{main}: services of an earlier version are at work on data set {} (processes: {processes}), and it has to be \
         brought up to date: stop all of them first; one that was killed counts for a minute",
        label.dataset
    );
    Ok(())
}

/// Refuses a data set of an earlier version while a shard is down, before anything of it is changed: the earlier version
/// goes on with the others until then.
pub(super) async fn refuse_without_a_shard(cluster: &Cluster, label: &Label) -> Result<()> {
    for (shard, _) in cluster.numbered() {
        let checked = cluster.check_shard(shard, &label.dataset).await;
        checked.map_err(|error| incomplete(label, shard, &error))?;
    }
    Ok(())
}

fn incomplete(label: &Label, shard: ShardId, error: &DatabaseError) -> anyhow::Error {
    anyhow::anyhow!(
        "shard {shard} has to be brought up to date as well, since data set {} is of an earlier version: {error}",
        label.dataset
    )
}

/// Takes note that every table is up to date, unless there are shards whose tables could not be looked at.
pub(super) async fn finish(
    cluster: &Cluster,
    label: Label,
    down: &[(ShardId, DatabaseError)],
) -> Result<Label> {
    if let Some((shard, error)) = down.first() {
        return Err(incomplete(&label, *shard, error));
    }
    let main = &cluster.main;
    let of_data = cluster.shards.iter().take(usize::from(label.shards));
    for (database, table) in of_data.map(|shard| (shard, "shard_state")).chain([(main, "gate_state")]) {
        let mut conn = database.connect_alone().await?;
        conn.query_drop(take_over(table)).await.map_err(|error| database.error(&error))?;
    }
    let mut conn = main.connect_alone().await?;
    cluster.record_first(&mut conn, &label.layout).await.map_err(|error| main.error(&error))?;
    cluster.complete().await?;
    tracing::info!(dataset = label.dataset, "the data set of an earlier version is brought up to date");
    Ok(Label { of_before: false, ..label })
}
