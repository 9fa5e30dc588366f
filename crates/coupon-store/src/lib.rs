//! The store: where users, coupons and results live, behind four traits (a gate, a hand-over, shards to read, and a
//! catalogue), and what it stands on: settings, ids, clocks.
//!
//! Futures are boxed once a batch or once a shard, never once a grab, and stay on the thread that made them.

mod catalogue;
pub mod clock;
pub mod embedded;
pub mod failpoints;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod hand_over;
mod id_set;
pub mod ids;
mod known;
mod measure;
pub mod metrics;
pub mod outage;
mod rows;
pub mod servers;
mod set_aside;
pub mod settings;
mod shards;
mod terms;
pub mod timekeeping;
mod unavailable;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use catalogue::{Catalogue, CouponAndDetails, Offer};
pub use gate::{Attempt, Decided, Decision, Gate, Stock};
pub use hand_over::{HandOver, PlacedResult};
pub use known::Known;
pub use set_aside::Found as SetAsideCoupons;
pub use shards::{
    Figure, Found, Latency, PageRequest, ShardReport, Shards, SpendOutcome, Spending, Summary, Totals, Visit,
    Visited,
};
pub use unavailable::Unavailable;

use ids::IdSource;

/// A future that lives on one worker thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything a service stands on.
pub struct Backend {
    /// `embedded` or `servers`.
    pub kind: &'static str,
    /// The data set's id.
    pub dataset: String,
    /// Embedded: the data folder.
    pub data: Option<String>,
    /// Servers: what its databases, keys and queues are called by.
    pub namespace: Option<String>,
    /// Where the workers get their ids from.
    pub ids: IdSource,
    /// Stock and one-per-user.
    pub gate: Box<dyn Gate>,
    /// The durable step.
    pub hand_over: Box<dyn HandOver>,
    /// Reads.
    pub shards: Box<dyn Shards>,
    /// Users, rooms and coupons.
    pub catalogue: Box<dyn Catalogue>,
    /// Embedded: the data folder, locked for as long as this lives.
    pub lock: Option<Arc<embedded::folder::Folder>>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("kind", &self.kind)
            .field("dataset", &self.dataset)
            .finish_non_exhaustive()
    }
}
