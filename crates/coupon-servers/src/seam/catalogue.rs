//! Requests of the protocol to main about a catalogue that changes.

use async_trait::async_trait;
use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{CouponId, RoomId, UserId};
use coupon_store::set_aside::SetAsideCoupons;
use coupon_store::terms::Terms;
use coupon_store::{ChangeError, VersionRecord};

use super::DatabaseError;

/// A process goes by an older version of the catalogue, if it does, for no longer than this after it was last heard of.
pub const LIVES_MS: i64 = 5_000;

/// The terms of every coupon, as main had them at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offering {
    /// The version of the catalogue then.
    pub version: u64,
    /// The terms.
    pub terms: Vec<Terms>,
    /// Every version of the layout.
    pub layouts: Vec<VersionRecord>,
}

/// The catalogue, or what of it changed since a version, as main had it at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The version of the catalogue then.
    pub version: u64,
    /// True if it is everything, and not what changed alone.
    pub whole: bool,
    /// Coupons.
    pub terms: Vec<Terms>,
    /// Coupons that changed and are not there any more, where not all of them were read.
    pub deleted: Vec<CouponId>,
    /// Those of them whose row makes no sense.
    pub found: SetAsideCoupons,
    /// Rooms.
    pub rooms: Vec<RoomId>,
    /// Users who were added, in ascending order, and whether each is active.
    pub users: Vec<(UserId, bool)>,
    /// Every version of the layout, from the first on.
    pub layouts: Vec<VersionRecord>,
}

/// A process that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Distinguishes it from every other process.
    pub holder: String,
    /// Its name, for people.
    pub name: String,
    /// The number of shards that it has opened.
    pub shards: u16,
}

/// A change that is in main.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The version of the catalogue with it.
    pub version: u64,
    /// False if it was so already, and nothing was written.
    pub changed: bool,
    /// The number of users that were added.
    pub added: usize,
}

/// A coupon that a person changed in main.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Its terms before.
    pub before: Terms,
    /// Its total now.
    pub total: u32,
    /// The change, in words.
    pub what: String,
}

/// Main's catalogue.
#[async_trait]
pub trait CatalogueServer: Send + Sync {
    /// The version that it has reached.
    async fn version(&self) -> Result<u64, DatabaseError>;

    /// The terms of every coupon.
    async fn terms(&self) -> Result<Offering, DatabaseError>;

    /// The changes since a version. Where that is none of its own, and where none is given, all coupons and rooms.
    async fn news(&self, since: Option<u64>) -> Result<News, DatabaseError>;

    /// Makes a change: rows, stock log, record of changes and version in one transaction.
    async fn change(&self, change: &CatalogueChange, operator: &Operator) -> Result<Made, ChangeError>;

    /// Records what people changed in main, if its version is still the one that this was found at. Says whether it was.
    async fn record_edits(&self, version: u64, edits: &[Edit]) -> Result<bool, DatabaseError>;

    /// Records that a service takes users whom main does not know.
    async fn accept_unknown_users(&self) -> Result<(), DatabaseError>;

    /// The latest changes, the last first.
    async fn changes(&self, limit: usize) -> Result<Vec<ChangeRecord>, DatabaseError>;

    /// Takes note, for good, that main was put back to an earlier state.
    async fn note_put_back(&self) -> Result<(), DatabaseError>;

    /// Those of these coupons that were made after a version, and never known before. None of a main that was put back: it has
    /// forgotten which coupons it knew.
    async fn made_since(&self, version: u64, coupons: &[CouponId]) -> Result<Vec<CouponId>, DatabaseError>;

    /// Takes note that a process lives, and goes by that version.
    async fn goes_by(&self, process: &Living, version: u64) -> Result<(), DatabaseError>;

    /// The names of processes that live and go by an earlier version.
    async fn behind(&self, version: u64) -> Result<Vec<String>, DatabaseError>;

    /// Takes note that a process has ended.
    async fn ended(&self, process: &Living) -> Result<(), DatabaseError>;
}
