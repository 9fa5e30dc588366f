//! What a backend must do for the services: a gate, a hand-over, shards to read, and a catalogue.
//!
//! Futures are boxed once a batch or once a shard, never once a grab, and stay on the thread that made them.

mod catalogue;
pub mod embedded;
mod gate;
mod hand_over;
mod id_set;
mod known;
mod measure;
mod rows;
pub mod servers;
mod shards;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use catalogue::{Catalogue, CouponAndDetails, Offer};
pub use gate::{Attempt, Decided, Decision, Gate, Stock};
pub use hand_over::{HandOver, PlacedResult};
pub use known::Known;
pub use shards::{
    Figure, Found, Latency, PageRequest, ShardReport, Shards, SpendOutcome, Spending, Summary, Totals, Visit,
    Visited,
};

use crate::pipeline::IdSource;

/// A future that lives on one worker thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Something needed did not answer, or refused for now. The grab's outcome may be unknown; asking again is safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is unavailable: {why}")]
pub struct Unavailable {
    /// What did not answer.
    pub what: String,
    /// Why, as far as that is known.
    pub why: String,
}

impl Unavailable {
    /// That thing, for that reason.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

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
