//! The work that is no request: tasks on one thread beside the HTTP workers, and their shared state.

mod add;
mod apply;
mod catalogue;
mod change;
mod clock;
mod consume;
mod crew;
mod drain;
mod expire;
mod fill;
mod gatekeeper;
mod gather;
mod handles;
mod late;
mod layout;
mod lease;
mod leaving;
mod let_go;
mod movement;
mod moving;
mod publish;
mod reconcile;
mod reconcile_rows;
mod record;
mod rooms;
mod settle;
mod steps;
mod store;
mod stored;
mod turns;
mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{CouponId, Placement, ShardId};

use super::broker::{Message, PublishError};
use super::catalogue::OfferedCatalogue;
use super::counts::Counts;
use super::gate::Epoch;
use super::markers::Markers;
use super::rooms::RoomDatabases;
use super::seam::{Hold, Living, MainServer, Publish as _, Route, ShardServer};
use super::status::ShardStatus;
use crate::{Layouts, Unavailable};
use apply::Applier;
pub(super) use catalogue::{Following, RELIES};
pub(super) use clock::agree_at_start;
use clock::keep_comparing;
use consume::Consumer;
pub(super) use crew::Crew;
use expire::Sweeper;
use gatekeeper::Gatekeeper;
pub(super) use handles::{Floors, GateHandle, GateLines, Gates, QueuesHandle, Signals, Time, lines};
pub(super) use lease::{Leases, RENEW};
use let_go::LetGo;
pub(super) use movement::MovementRate;
use movement::RowMover;
pub(super) use publish::Watched;
use reconcile::Reconciler;
use reconcile_rows::ShardPasses;
pub(super) use store::Floor;
use store::{Of, StoredBatch, TakenMessages};
pub(super) use watch::look;
use watch::watch;

/// The tasks' shared state. Databases and connections are those of the thread that runs them.
pub(super) struct Background {
    pub(super) dataset: String,
    /// The list of gates that it goes by, as main counts them.
    pub(super) list: u64,
    pub(super) layouts: Arc<Layouts>,
    /// The time from which a version of the layout is announced to that from which it is in force.
    pub(super) lead: Duration,
    pub(super) offered: Arc<OfferedCatalogue>,
    pub(super) status: Vec<Arc<ShardStatus>>,
    pub(super) gates: Gates,
    pub(super) queues: QueuesHandle,
    pub(super) databases: Vec<Box<dyn ShardServer>>,
    /// The room index, if there is one.
    pub(super) rooms: Option<RoomDatabases>,
    pub(super) main: Arc<dyn MainServer>,
    pub(super) floors: Floors,
    pub(super) time: Time,
    pub(super) signals: Signals,
    /// This process, as main lists it.
    pub(super) living: Living,
    pub(super) following: Following,
    pub(super) movement: MovementRate,
    /// The counts of this process.
    pub(super) counts: Counts,
}

impl Background {
    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.layouts.shards()
    }

    fn shard(&self, shard: ShardId) -> anyhow::Result<&dyn ShardServer> {
        let server = self.databases.get(shard.index());
        server.map(|server| &**server).ok_or_else(|| anyhow::anyhow!("there is no shard {shard}"))
    }

    /// Every shard's server.
    fn shard_servers(&self) -> impl Iterator<Item = (ShardId, &dyn ShardServer)> {
        self.shards().zip(self.databases.iter().map(|server| &**server))
    }

    /// Takes note of what a consumer of this process has stored.
    fn stored(&self, shard: ShardId, work: &TakenMessages, done: &StoredBatch) {
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
    fn gate_of(&self, epoch: &Epoch) -> &GateHandle {
        self.gates.of_epoch(epoch.number)
    }

    /// The epochs that are open, of gates that answer.
    fn open_epochs(&self) -> Vec<Arc<Epoch>> {
        self.gates.iter().filter_map(GateHandle::open).collect()
    }

    /// Those of some things that are about coupons of a gate.
    fn of_gate<T: Copy>(&self, gate: &GateHandle, of: &[T], coupon: impl Fn(&T) -> CouponId) -> Vec<T> {
        let count = self.gates.count();
        of.iter().filter(|one| count.of(coupon(one)) == gate.id).copied().collect()
    }

    /// Those of some rows that are about coupons of a gate.
    fn held_at(&self, gate: &GateHandle, mut holds: Vec<Hold>) -> Vec<Hold> {
        let count = self.gates.count();
        if count.is_several() {
            holds.retain(|hold| CouponId::new(hold.coupon).is_ok_and(|coupon| count.of(coupon) == gate.id));
        }
        holds
    }

    /// A shard, as this process goes by it.
    fn at(&self, shard: ShardId) -> Of<'_> {
        let Self { dataset, list, gates, floors, .. } = self;
        Of { dataset, list: *list, gates: gates.count(), shard, floors }
    }

    /// Puts a message where it stays until a person looks at it.
    async fn park_message(&self, body: Vec<u8>) -> Result<(), PublishError> {
        self.queues.publisher.publish(Route::Parking, body).await?;
        self.counts.parked_messages.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until everything is stored that was handed over to a shard so far: a marker through its queue proves it.
    /// It may close an epoch on the way.
    async fn marker(&self, shard: ShardId, closes: u64) -> Result<(), Unavailable> {
        let server = self.shard(shard).map_err(|error| Unavailable::new(format!("shard {shard}"), error))?;
        let Self { dataset, queues, .. } = self;
        Markers { dataset, publisher: &queues.publisher, shard, server }
            .pass(closes, || self.time.mains())
            .await
    }

    /// Sends something that moves the shard's queue along, so that reads see how far it is.
    async fn tick(&self, shard: ShardId) -> Result<(), PublishError> {
        let message = Message::marker(&self.dataset, self.time.mains(), None);
        self.queues.publisher.publish(Route::Queue(shard), message.encode()).await
    }

    /// Makes tables ahead of need. One that fails is made when a result needs it.
    pub(super) async fn make_tables(self: Arc<Self>, placements: Vec<Placement>) {
        for Placement { shard, table } in placements {
            let Ok(server) = self.shard(shard) else { continue };
            if let Err(error) = server.make_table(table).await {
                tracing::warn!(%shard, %table, %error, "a table is not made ahead of need");
            }
        }
    }
}
