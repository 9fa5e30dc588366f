//! The store: where users, coupons and results live, behind small traits (a gate, a hand-over, shards to read, a
//! catalogue, and their upkeep), and what it stands on: settings, ids, clocks.
//!
//! Futures are boxed once a batch or once a shard, never once a grab, and stay on the thread that made them.

pub mod archives;
pub mod carried;
mod catalogue;
pub mod clock;
pub mod current;
pub mod embedded;
pub mod failpoints;
pub mod gate;
mod growing;
pub mod hand_over;
mod holders;
pub mod id_set;
pub mod ids;
pub mod known;
pub mod layout_records;
pub mod layouts;
mod lifecycle;
pub mod measure;
pub mod metrics;
pub mod moving;
mod open;
pub mod outage;
mod own_metrics;
pub mod pace;
pub mod room_index;
pub mod rows;
pub mod set_aside;
pub mod settings;
mod shards;
pub mod slices;
pub mod statements;
pub mod stock;
mod swapped;
pub mod terms;
pub mod timekeeping;
mod unavailable;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use coupon_core::{CouponId, Timestamp};

pub use archives::{
    Archive, ArchivePace, Archiving, HasParked, NotOver, NotYet, Retired, archive_alone, first_id,
    may_not_go_yet,
};
pub use catalogue::{Applied, Catalogue, ChangeError, CouponAndDetails, Offer, Offered};
pub use gate::{Attempt, Decided, Decision, Gate, GateStock, Grant, Reservation};
pub use growing::{Announced, Growing, GrowthError, Moving, NextLayout, VersionRecord};
pub use hand_over::{HandOver, PlacedResult};
pub use known::Known;
pub use layouts::Layouts;
pub use lifecycle::Lifecycle;
pub use open::{BuiltWithout, open_folder};
pub use own_metrics::{OwnMetrics, Repairs};
pub use room_index::{RoomIndex, RoomPlaces};
pub use set_aside::SetAsideCoupons;
pub use shards::{
    Change, Changed, Found, HeldByCoupon, Latency, PageRequest, Reported, ResultSummary, ShardReport, Shards,
    Totals, Visit, Visited,
};
pub use unavailable::Unavailable;

use ids::IdSource;

/// The way in which a data set is filled in bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkFilling {
    /// From beginning to end, or not at all.
    Once,
    /// So that what was cut short can go on: a row that is there already is one that an earlier run stored.
    Resumable,
}

/// A future that lives on one worker thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything a service stands on.
pub struct Backend {
    /// The data set's id.
    pub dataset: String,
    /// The places of rows, by the versions of the layout that this process goes by.
    pub layouts: Arc<Layouts>,
    /// Changes the layout.
    pub growth: Box<dyn Growing>,
    /// Retires old results, where that is this process's own to do.
    pub archiving: Option<Box<dyn Archiving>>,
    /// The source of the workers' ids.
    pub ids: IdSource,
    /// Stock and one-per-user.
    pub gate: Box<dyn Gate>,
    /// Upkeep, and the end: let go of before what it brings to an end.
    pub lifecycle: Box<dyn Lifecycle>,
    /// The durable step.
    pub hand_over: Box<dyn HandOver>,
    /// Reads.
    pub shards: Box<dyn Shards>,
    /// Reads of rooms, where the data set has an index of them.
    pub room_index: Option<Box<dyn RoomIndex>>,
    /// Users, rooms and coupons.
    pub catalogue: Box<dyn Catalogue>,
    /// The metrics of this backend alone.
    pub own_metrics: Box<dyn OwnMetrics>,
    /// The place of the data: let go of last.
    pub data: Data,
}

impl Backend {
    /// Counts a coupon's stock by the gate; `None` for a coupon that it does not hold, or need not hold any more: of a coupon
    /// that has been over for a day, the gate may still remember holders whose results an archive has taken.
    ///
    /// # Errors
    /// [`Unavailable`] when the gate does not answer.
    pub async fn stock(&self, coupon: CouponId, now: Timestamp) -> Result<Option<GateStock>, Unavailable> {
        let over = self.catalogue.known().is_forgotten(coupon, self.ids.mains_time(now));
        if over { Ok(None) } else { self.gate.stock(coupon).await }
    }
}

/// The place of a backend's data.
#[derive(Debug)]
pub enum Data {
    /// In a folder of this machine, which stays locked for as long as this lives.
    Folder(embedded::folder::Folder),
    /// On servers, whose databases, keys and queues have names that begin with this.
    Servers(String),
}

impl Data {
    /// The backend's name: `embedded` or `servers`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "embedded",
            Self::Servers(_) => "servers",
        }
    }

    /// The folder's path, if there is a folder.
    #[must_use]
    pub fn folder(&self) -> Option<String> {
        match self {
            Self::Folder(folder) => {
                let path = std::path::absolute(folder.dir()).unwrap_or_else(|_| folder.dir().to_owned());
                Some(path.display().to_string())
            }
            Self::Servers(_) => None,
        }
    }

    /// The namespace, if there are servers.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Folder(_) => None,
            Self::Servers(namespace) => Some(namespace),
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("data", &self.data)
            .field("dataset", &self.dataset)
            .finish_non_exhaustive()
    }
}
