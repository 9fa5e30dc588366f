//! The work that a data set on servers still waits for, while no process is at work on it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::ShardId;
use coupon_store::carried::Waits;
use coupon_store::settings::{DecidedBy, ServerUrl, ServersSettings};
use deadpool_redis::redis::Pipeline;
use mysql_async::prelude::Queryable as _;

use super::broker::{Broker, BrokerQueues, Message};
use super::cluster::{Cluster, outbox_position};
use super::gate::{Link, RESPONSE, RedisServer};
use super::mysql::Database;
use super::seam::QueueServer as _;
use super::stock;

/// The longest that a queue may take to show a message that it counts.
const SHOWN: Duration = Duration::from_secs(10);
/// The most messages of a queue that are looked into: as many as a consumer is given at once.
const LOOKED_INTO: u64 = 256;

/// Whatever is on its way to a table, or waits for a person.
///
/// # Errors
/// When a server cannot be asked, or a process still takes messages from a queue.
pub(super) async fn waits(
    cluster: &Cluster,
    settings: &ServersSettings,
    dataset: &str,
) -> anyhow::Result<Vec<Waits>> {
    let mut waits = Vec::new();
    for (shard, database) in cluster.numbered() {
        let position = outbox_position(&cluster.main, shard).await?;
        let untold =
            count(database, &format!("SELECT COUNT(*) FROM outbox WHERE outbox_id > {position}")).await?;
        waits.extend(Waits::of_shard(shard, untold, "entries in its outbox that main has not applied"));
        let releases = count(database, "SELECT COUNT(*) FROM releases").await?;
        waits.extend(Waits::of_shard(shard, releases, "results that the gate has still to let go of"));
        let leaving = count(database, "SELECT COUNT(*) FROM leaving").await?;
        waits.extend(Waits::of_shard(
            shard,
            leaving,
            "results that are on their way to another shard or table",
        ));
        let parked = count(database, "SELECT COUNT(*) FROM parked_results").await?;
        waits.extend(Waits::parked_results(shard, parked));
    }
    waits.extend(Waits::parked_deltas(count(&cluster.main, "SELECT COUNT(*) FROM parked_deltas").await?));
    match stock::opened_by(&cluster.main).await? {
        // Before a gate was ever opened, nothing was handed over.
        None => {}
        Some((DecidedBy::Gate, epochs)) => {
            waits.extend(in_queues(cluster, settings, dataset).await?);
            cluster.ensure_gates_named().await?;
            let mut pending = 0;
            for (url, epoch) in settings.redis.iter().zip(epochs) {
                pending += pending_at(cluster, url, dataset, epoch).await?;
            }
            let what = "reservations that are not known to be stored";
            waits.extend((pending > 0).then_some(Waits {
                shard: None,
                count: pending,
                what,
                for_a_person: false,
            }));
        }
        // There is neither queue nor Redis: what was granted is stored.
        Some((DecidedBy::Database, _)) => {
            for (shard, database) in cluster.numbered() {
                let sql = "SELECT CAST(COALESCE(SUM(untold), 0) AS UNSIGNED) FROM stock";
                let untold = count(database, sql).await?;
                waits.extend(Waits::of_shard(shard, untold, "results that main was not told of"));
            }
        }
    }
    Ok(waits)
}

async fn count(database: &Database, sql: &str) -> anyhow::Result<u64> {
    let mut conn = database.connect().await?;
    let counted: Option<u64> = conn.query_first(sql).await.map_err(|error| database.error(&error))?;
    Ok(counted.unwrap_or(0))
}

/// Messages that hold results, by shard, and those that could not be read.
pub(super) async fn in_queues(
    cluster: &Cluster,
    settings: &ServersSettings,
    dataset: &str,
) -> anyhow::Result<Vec<Waits>> {
    let (names, shards) = (cluster.names(dataset), u16::try_from(cluster.shards.len())?);
    let broker = Broker::new(&settings.rabbitmq)?;
    let mut admin = broker.admin().await?;
    // A queue that was deleted is none that could be asked.
    admin.declare(&names, shards).await?;
    let mut waits = Vec::new();
    let queues = BrokerQueues::new(broker, names.clone(), shards);
    for (shard, _) in cluster.numbered() {
        let queue = admin.queue(&names.queue(shard)).await?;
        ensure!(
            queue.consumers == 0,
            "shard {shard}: a process takes messages from its queue: stop it first"
        );
        let results = with_results(&queues, dataset, shard, queue.messages).await?;
        waits.extend(Waits::of_shard(shard, results, "messages with results in its queue"));
    }
    let unread = admin.queue(&names.parking()).await?.messages;
    admin.close().await;
    let what = "messages in the parking queue that nobody could read";
    waits.extend((unread > 0).then_some(Waits { shard: None, count: unread, what, for_a_person: true }));
    Ok(waits)
}

/// Counts the messages of a queue that hold results, or that cannot be read; others only move it. They are looked at and
/// given back.
async fn with_results(
    queues: &BrokerQueues,
    dataset: &str,
    shard: ShardId,
    messages: u64,
) -> anyhow::Result<u64> {
    if messages == 0 || messages > LOOKED_INTO {
        return Ok(messages);
    }
    let mut consumer = queues.consume(shard).await?;
    let mut found = 0;
    for _ in 0..messages {
        let next = tokio::time::timeout(SHOWN, consumer.next()).await;
        let message = next.ok().flatten();
        let message =
            message.with_context(|| format!("shard {shard}: its queue shows no message that it counts"))?;
        let empty =
            Message::decode(&message.body, dataset, shard).is_ok_and(|(_, results)| results.is_empty());
        found += u64::from(!empty);
    }
    consumer.close().await;
    Ok(found)
}

/// Counts the reservations of a gate that are not known to be stored. The sentinel behind them is none, nor are versions of the
/// layout before them.
async fn pending_at(cluster: &Cluster, url: &ServerUrl, dataset: &str, epoch: u64) -> anyhow::Result<u64> {
    let redis = RedisServer::new(url)?;
    let mut ask = Pipeline::new();
    ask.cmd("ZCOUNT").arg(cluster.names(dataset).pending(epoch)).arg(0).arg("(+inf");
    let link = Link::new(redis, RESPONSE);
    let counted: Result<(u64,), _> = link.ask(&ask).await;
    Ok(counted.with_context(|| format!("cannot ask Redis at {} what is pending", link.place()))?.0)
}
