//! Whatever is not a request: tasks on one thread beside the HTTP workers, and what they share.

mod apply;
mod consume;
mod crew;
mod fill;
mod gatekeeper;
mod gather;
mod lease;
mod reconcile;
mod reconcile_rows;
mod settle;
mod store;
mod stored;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::schema;
use coupon_core::{Placement, ShardId, ShardingStrategy};
use mysql_async::prelude::Queryable as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::broker::{Broker, Marker, Message, PublishError, Publisher};
use super::catalogue::ServersCatalogue;
use super::cluster::Cluster;
use super::counts::Counts;
use super::gate::{EpochCell, Link};
use super::mysql::Database;
use super::names::Names;
use super::status::ShardStatus;
use crate::backend::Unavailable;
use crate::clock::Clock;

use apply::Applier;
use consume::Consumer;
pub(super) use crew::Crew;
pub(super) use fill::remove_keys;
use gatekeeper::Gatekeeper;
pub(super) use lease::Leases;
use reconcile::Reconciler;
use reconcile_rows::Rows;
use store::{Done, Work};
pub(super) use watch::look;
use watch::watch;

/// How long a marker may take through a shard's queue and into its database.
const MARKER: Duration = Duration::from_secs(60);
/// A marker that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(5);
/// How long a database may take for a short question.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(10);

/// What the tasks share. Databases and connections are those of the thread that runs them.
pub(super) struct Background {
    pub(super) cluster: Cluster,
    pub(super) dataset: String,
    pub(super) names: Names,
    pub(super) broker: Broker,
    pub(super) redis: Link,
    pub(super) publisher: Publisher,
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    pub(super) clock: Clock,
    pub(super) catalogue: Arc<ServersCatalogue>,
    pub(super) epoch: Arc<EpochCell>,
    pub(super) status: Vec<Arc<ShardStatus>>,
    /// How far main has applied each shard's outbox, when it was last asked.
    pub(super) positions: Vec<AtomicI64>,
    /// Results that this process's consumers are at work on, and messages that they have not looked at: the queues count
    /// neither.
    pub(super) in_flight: Vec<(AtomicU64, AtomicU64)>,
    /// Something was stored that main has not been told of.
    pub(super) to_apply: Notify,
    /// Somebody waits for main to be told.
    pub(super) apply_now: Notify,
    /// Main has been told of everything that was found.
    pub(super) applied: Notify,
    pub(super) stop: AtomicBool,
    /// This process stores nothing any more.
    pub(super) consumed: AtomicBool,
    /// What this process has done.
    pub(super) counts: Counts,
}

impl Background {
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.strategy.shard_count().get()).map(ShardId::new)
    }

    pub(super) fn database(&self, shard: ShardId) -> anyhow::Result<&Database> {
        self.cluster.shards.get(shard.index()).ok_or_else(|| anyhow::anyhow!("there is no shard {shard}"))
    }

    /// Takes note of what a consumer of this process is at work on: the queue does not count it any more.
    pub(super) fn works_on(&self, shard: ShardId, results: usize, messages: usize) {
        if let Some((in_results, in_messages)) = self.in_flight.get(shard.index()) {
            in_results.store(results as u64, Ordering::Relaxed);
            in_messages.store(messages as u64, Ordering::Relaxed);
        }
    }

    /// The last change of a shard's that main is known to have been told of.
    pub(super) fn position(&self, shard: ShardId) -> i64 {
        self.positions.get(shard.index()).map_or(0, |position| position.load(Ordering::Relaxed))
    }

    /// Takes note of what a consumer of this process has stored.
    pub(super) fn stored(&self, shard: ShardId, work: &Work, done: &Done) {
        let lag = self.clock.now().millis() - work.sent;
        if let (Some(status), Ok(lag), false) =
            (self.status.get(shard.index()), u64::try_from(lag), work.results.is_empty())
        {
            status.stored.record(Duration::from_millis(lag));
        }
        if done.added > 0 {
            self.to_apply.notify_one();
        }
    }

    /// Puts a message where it stays until a person looks at it.
    pub(super) async fn park_message(&self, body: Vec<u8>) -> Result<(), PublishError> {
        self.publisher.publish("", &self.names.parking(), body).await?;
        self.counts.parked_messages.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sends something that moves the shard's queue along, so that reads know how far it is.
    pub(super) async fn tick(&self, shard: ShardId) -> Result<(), PublishError> {
        let message = Message::marker(&self.dataset, self.clock.now(), None);
        self.publisher.publish("", &self.names.queue(shard), message.encode()).await
    }

    /// Sends a marker through a shard's queue, and waits until it is stored: then so is everything that was handed over
    /// before it. It may close an epoch on the way.
    pub(super) async fn marker(&self, shard: ShardId, closes: u64) -> Result<(), Unavailable> {
        let failed = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why);
        let database = self.database(shard).map_err(|error| failed(&error))?;
        let id = format!("{:016x}{:016x}", random(), random());
        let marker = Some(Marker { id: id.clone(), closes });
        let message = Message::marker(&self.dataset, self.clock.now(), marker);
        let sent = self.publisher.publish("", &self.names.queue(shard), message.encode()).await;
        sent.map_err(|error| Unavailable::new("the queue", error))?;
        let deadline = Instant::now() + MARKER;
        let mut say = Instant::now() + SLOW;
        let mut conn = database.connect().await.map_err(|error| failed(&error))?;
        loop {
            if Instant::now() >= say {
                say += SLOW;
                tracing::warn!(%shard, "waiting for this shard's queue to be stored: does a process with the role all or consumer run?");
            }
            let asked = conn.exec_first("SELECT 1 FROM markers WHERE marker_id = ?", (&id,));
            let found: Result<Option<u8>, _> = database.patiently(PATIENCE, asked).await;
            if found.map_err(|error| failed(&error))?.is_some() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let why = "a marker has not come through its queue: it has no consumer, or a long way to go";
                return Err(failed(&why));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes tables ahead of need. One that fails is made when a result needs it.
    pub(super) async fn make_tables(self: Arc<Self>, placements: Vec<Placement>) {
        for Placement { shard, table } in placements {
            let Ok(database) = self.database(shard) else { continue };
            let made = async {
                let mut conn = database.connect().await?;
                database.patiently(PATIENCE, conn.query_drop(schema::results_table(table))).await
            };
            if let Err(error) = made.await {
                tracing::warn!(%shard, %table, %error, "a table is not made ahead of need");
            }
        }
    }

    /// Waits until everything handed over so far is stored, and main knows of it.
    pub(super) async fn drain(self: Arc<Self>) -> Result<(), Unavailable> {
        let shards: Vec<ShardId> = self.shards().collect();
        for reached in futures_util::future::join_all(shards.iter().map(|shard| self.marker(*shard, 0))).await
        {
            reached?;
        }
        let mut wanted = Vec::new();
        for shard in shards {
            let database = self.database(shard).map_err(|error| Unavailable::new("a shard", error))?;
            let mut conn = database.connect().await?;
            let asked = conn.query_first("SELECT outbox_id FROM shard_state WHERE id = 1");
            let id: Option<i64> = database.patiently(PATIENCE, asked).await?;
            wanted.push((shard, id.unwrap_or(0)));
        }
        self.applied_up_to(&wanted).await?;
        // What the next read is told is as new as what was waited for.
        for (shard, _) in wanted {
            watch::look(&self, shard).await;
        }
        Ok(())
    }

    /// Has main told of everything at once.
    pub(super) fn hurry(&self) {
        self.to_apply.notify_one();
        self.apply_now.notify_one();
    }

    async fn applied_up_to(&self, wanted: &[(ShardId, i64)]) -> Result<(), Unavailable> {
        let deadline = Instant::now() + MARKER;
        loop {
            let positions = watch::positions(&self.cluster.main).await?;
            let position = |shard: ShardId| positions.get(&shard.number()).copied().unwrap_or(0);
            if wanted.iter().all(|(shard, id)| position(*shard) >= *id) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Unavailable::new(
                    "the main database",
                    "it has not been told of everything in time",
                ));
            }
            self.hurry();
            let _ = tokio::time::timeout(POLL * 10, self.applied.notified()).await;
        }
    }
}

/// A number that nobody else makes at the same time.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
