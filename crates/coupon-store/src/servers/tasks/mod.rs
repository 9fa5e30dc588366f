//! Whatever is not a request: tasks on one thread beside the HTTP workers, and what they share.

mod apply;
mod clock;
mod consume;
mod crew;
mod drain;
mod fill;
mod gatekeeper;
mod gather;
mod lease;
mod reconcile;
mod reconcile_rows;
mod record;
mod settle;
mod store;
mod stored;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::schema;
use coupon_core::{Placement, ShardId, ShardingStrategy, Timestamp};
use mysql_async::prelude::Queryable as _;
use tokio::sync::Notify;

use super::broker::{Broker, Message, PublishError, Publisher};
use super::catalogue::ServersCatalogue;
use super::cluster::Cluster;
use super::counts::Counts;
use super::gate::{EpochCell, Link};
use super::markers::Markers;
use super::mysql::{Database, PATIENCE};
use super::names::Names;
use super::status::ShardStatus;
use crate::Unavailable;
use crate::clock::Clock;
use crate::timekeeping::Agreement;

use apply::Applier;
pub(super) use clock::agree_at_start;
use clock::keep_comparing;
use consume::Consumer;
pub(super) use crew::Crew;
pub(super) use fill::remove_keys;
use gatekeeper::Gatekeeper;
pub(super) use lease::{Leases, RENEW, TERM_MS};
use reconcile::Reconciler;
use reconcile_rows::Rows;
use store::{Done, Floor, Work};
pub(super) use watch::look;
use watch::watch;

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
    pub(super) agreement: Arc<Agreement>,
    pub(super) catalogue: Arc<ServersCatalogue>,
    pub(super) epoch: Arc<EpochCell>,
    pub(super) status: Vec<Arc<ShardStatus>>,
    /// How far main has applied each shard's outbox, when it was last asked.
    pub(super) positions: Vec<AtomicI64>,
    /// How many transactions of each shard this process has seen committed, by its own consumer or by looking.
    pub(super) committed: Vec<AtomicU64>,
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

    /// The time that everybody goes by, as far as this process knows it.
    pub(super) fn mains_time(&self) -> Timestamp {
        self.agreement.mains(self.clock.now())
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

    /// What a shard must have at least, as far as this process knows.
    pub(super) fn floor(&self, shard: ShardId) -> Floor {
        let told = self.positions.get(shard.index()).map_or(0, |told| told.load(Ordering::Relaxed));
        let commits = self.committed.get(shard.index()).map_or(0, |seen| seen.load(Ordering::Relaxed));
        Floor { told, commits }
    }

    /// Takes note that a shard has committed so many transactions.
    pub(super) fn saw_committed(&self, shard: ShardId, commits: u64) {
        if let Some(seen) = self.committed.get(shard.index()) {
            seen.fetch_max(commits, Ordering::Relaxed);
        }
    }

    /// Takes note of what a consumer of this process has stored.
    pub(super) fn stored(&self, shard: ShardId, work: &Work, done: &Done) {
        let lag = self.mains_time().millis() - work.sent;
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

    /// Waits until everything is stored that was handed over to a shard so far: a marker through its queue proves it. It may
    /// close an epoch on the way.
    pub(super) async fn marker(&self, shard: ShardId, closes: u64) -> Result<(), Unavailable> {
        let database =
            self.database(shard).map_err(|error| Unavailable::new(format!("shard {shard}"), error))?;
        let Self { dataset, names, publisher, .. } = self;
        Markers { dataset, names, publisher, shard, database }.pass(closes, || self.mains_time()).await
    }

    /// Sends something that moves the shard's queue along, so that reads know how far it is.
    pub(super) async fn tick(&self, shard: ShardId) -> Result<(), PublishError> {
        let message = Message::marker(&self.dataset, self.mains_time(), None);
        self.publisher.publish("", &self.names.queue(shard), message.encode()).await
    }

    /// Has main told of everything at once.
    pub(super) fn hurry(&self) {
        self.to_apply.notify_one();
        self.apply_now.notify_one();
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
}
