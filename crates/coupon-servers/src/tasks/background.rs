//! The tasks' shared state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{CouponId, Placement, ShardId};
use coupon_store::{Layouts, Unavailable};

use super::catalogue::Following;
use super::handles::{Floors, GateHandle, Gates, QueuesHandle, Signals, Time};
use super::movement::MovementRate;
use super::store::{Of, StoredBatch, TakenMessages};
use crate::broker::{Message, PublishError};
use crate::catalogue::OfferedCatalogue;
use crate::counts::Counts;
use crate::gate::Epoch;
use crate::markers::Markers;
use crate::rooms::RoomDatabases;
use crate::seam::{Hold, Living, MainServer, Publish as _, Route, ShardServer};
use crate::status::ShardStatus;

/// The tasks' shared state. Databases and connections are those of the thread that runs them.
pub(crate) struct Background {
    pub(crate) dataset: String,
    /// The list of gates that it goes by, as main counts them.
    pub(crate) list: u64,
    pub(crate) layouts: Arc<Layouts>,
    /// The time from which a version of the layout is announced to that from which it is in force.
    pub(crate) lead: Duration,
    pub(crate) offered: Arc<OfferedCatalogue>,
    pub(crate) status: Vec<Arc<ShardStatus>>,
    pub(crate) gates: Gates,
    pub(crate) queues: QueuesHandle,
    pub(crate) databases: Vec<Box<dyn ShardServer>>,
    /// The room index, if there is one.
    pub(crate) rooms: Option<RoomDatabases>,
    pub(crate) main: Arc<dyn MainServer>,
    pub(crate) floors: Floors,
    pub(crate) time: Time,
    pub(crate) signals: Signals,
    /// This process, as main lists it.
    pub(crate) living: Living,
    pub(crate) following: Following,
    pub(crate) movement: MovementRate,
    /// The counts of this process.
    pub(crate) counts: Counts,
}

impl Background {
    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.layouts.shards()
    }

    pub(super) fn shard(&self, shard: ShardId) -> anyhow::Result<&dyn ShardServer> {
        let server = self.databases.get(shard.index());
        server.map(|server| &**server).ok_or_else(|| anyhow::anyhow!("there is no shard {shard}"))
    }

    /// Every shard's server.
    pub(super) fn shard_servers(&self) -> impl Iterator<Item = (ShardId, &dyn ShardServer)> {
        self.shards().zip(self.databases.iter().map(|server| &**server))
    }

    /// Takes note of what a consumer of this process has stored.
    pub(super) fn stored(&self, shard: ShardId, work: &TakenMessages, done: &StoredBatch) {
        let lag = self.time.mains().millis() - work.sent;
        if let (Some(status), Ok(lag), false) =
            (self.status.get(shard.index()), u64::try_from(lag), work.results.is_empty())
        {
            status.stored.record(Duration::from_millis(lag));
        }
        if done.added > 0 {
            self.signals.stored();
        }
    }

    /// The gate that an epoch is of.
    pub(super) fn gate_of(&self, epoch: &Epoch) -> &GateHandle {
        self.gates.of_epoch(epoch.number)
    }

    /// The epochs that are open, of gates that answer.
    pub(super) fn open_epochs(&self) -> Vec<Arc<Epoch>> {
        self.gates.iter().filter_map(GateHandle::open).collect()
    }

    /// Those of some things that are about coupons of a gate.
    pub(super) fn of_gate<T: Copy>(
        &self,
        gate: &GateHandle,
        of: &[T],
        coupon: impl Fn(&T) -> CouponId,
    ) -> Vec<T> {
        let count = self.gates.count();
        of.iter().filter(|one| count.of(coupon(one)) == gate.id).copied().collect()
    }

    /// Those of some rows that are about coupons of a gate.
    pub(super) fn held_at(&self, gate: &GateHandle, mut holds: Vec<Hold>) -> Vec<Hold> {
        let count = self.gates.count();
        if count.is_several() {
            holds.retain(|hold| CouponId::new(hold.coupon).is_ok_and(|coupon| count.of(coupon) == gate.id));
        }
        holds
    }

    /// A shard, as this process goes by it.
    pub(super) fn at(&self, shard: ShardId) -> Of<'_> {
        let Self { dataset, list, gates, floors, .. } = self;
        Of { dataset, list: *list, gates: gates.count(), shard, floors }
    }

    /// Puts a message where it stays until a person looks at it.
    pub(super) async fn park_message(&self, body: Vec<u8>) -> Result<(), PublishError> {
        self.queues.publisher.publish(Route::Parking, body).await?;
        self.counts.parked_messages.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until everything is stored that was handed over to a shard so far: a marker through its queue proves it.
    /// It may close an epoch on the way.
    pub(super) async fn marker(&self, shard: ShardId, closes: u64) -> Result<(), Unavailable> {
        let server = self.shard(shard).map_err(|error| Unavailable::new(format!("shard {shard}"), error))?;
        let Self { dataset, queues, .. } = self;
        Markers { dataset, publisher: &queues.publisher, shard, server }
            .pass(closes, || self.time.mains())
            .await
    }

    /// Sends something that moves the shard's queue along, so that reads see how far it is.
    pub(super) async fn tick(&self, shard: ShardId) -> Result<(), PublishError> {
        let message = Message::marker(&self.dataset, self.time.mains(), None);
        self.queues.publisher.publish(Route::Queue(shard), message.encode()).await
    }

    /// Makes tables ahead of need. One that fails is made when a result needs it.
    pub(crate) async fn make_tables(self: Arc<Self>, placements: Vec<Placement>) {
        for Placement { shard, table } in placements {
            let Ok(server) = self.shard(shard) else { continue };
            if let Err(error) = server.make_table(table).await {
                tracing::warn!(%shard, %table, %error, "a table is not made ahead of need");
            }
        }
    }
}
