//! The seam between the protocol and its servers: what it asks of the gate, the queues, the shards and main, in its own
//! words. Redis, RabbitMQ and MySQL answer it where a service runs.

mod catalogue;
mod epochs;
mod gate;
mod layouts;
mod main;
mod moving;
mod queue;
mod shard;

pub use catalogue::{CatalogueServer, Edit, LIVES_MS, Living, Made, News, Offering};
pub use epochs::GateEpochs;
pub use gate::{
    CouponHolders, GateError, GateServer, Held, Hold, Mark, Release, Remembers, Unchecked, Versions,
};
pub use layouts::{ChangingLayout, Fence, LayoutServer, LayoutState, MoveOrder, MoverLock};
pub(super) use main::elected;
pub use main::{
    BatchLock, Books, GateLock, GatePlace, GateState, GatesRecord, MainLock, MainServer, NUMBERS, Opening,
    Renewed, TERM_MS, Term, WrittenPosting,
};
pub use moving::{Batch, Departure, Key, MoveNote, MovingRows, MovingServer, ShardMoves, Slice};
pub use queue::{
    BrokerError, Delivery, Publish, PublishError, QueueAdmin, QueueConsumer, QueueServer, QueueState, Route,
    Until,
};
pub use shard::{
    Alike, Begun, DatabaseError, Expired, Inserted, Look, Marker, Note, OutboxEntry, ReadsHolds,
    ShardProgress, ShardServer, ShardState, Stepped, Stepping, StepsNote, Storing, StoringError, Waiting,
};

use std::sync::Arc;
use std::time::Duration;

use coupon_core::PerGate;

use super::catalogue::OfferedCatalogue;
use super::rooms::RoomDatabases;
pub use crate::gate::Epoch;
pub use crate::process::{Process, ProcessPart, Tasks};
use coupon_store::Known;
pub use coupon_store::terms::Terms;

/// Makes a connection to the gate's server, on which each question is given up after so long.
pub type ConnectGate = Box<dyn Fn(Duration) -> Box<dyn GateServer> + Send + Sync>;

/// The servers as one process reaches them.
pub struct Servers {
    /// The id of the data set that they hold.
    pub dataset: String,
    /// The list of gates, as main counts them.
    pub list: u64,
    pub(super) offered: Arc<OfferedCatalogue>,
    /// The way to each gate's server.
    pub gates: PerGate<ConnectGate>,
    /// The queues' server.
    pub queues: Box<dyn QueueServer>,
    /// Each shard's database.
    pub shards: Vec<Box<dyn ShardServer>>,
    /// The main database.
    pub main: Arc<dyn MainServer>,
    /// The room index, if there is one: not behind the seam, since it decides nothing.
    pub(super) rooms: Option<RoomDatabases>,
}

impl Servers {
    /// The servers of a data set, and what is known of its catalogue.
    #[must_use]
    pub fn new(
        dataset: &str,
        known: Known,
        gates: PerGate<ConnectGate>,
        queues: Box<dyn QueueServer>,
        shards: Vec<Box<dyn ShardServer>>,
        main: Arc<dyn MainServer>,
    ) -> Self {
        let offered = Arc::new(OfferedCatalogue::new(known, 0));
        Self { dataset: dataset.to_owned(), list: 0, offered, gates, queues, shards, main, rooms: None }
    }
}
