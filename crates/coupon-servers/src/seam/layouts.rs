//! Requests of the protocol to main about a layout that changes.

use std::num::{NonZeroU16, NonZeroU32};

use async_trait::async_trait;
use coupon_core::{Timestamp, VersionNumber};
use coupon_store::{Moving, VersionRecord};

use super::{DatabaseError, MainLock};

/// A version of the layout that a gate knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The version.
    pub version: VersionNumber,
    /// Grabs from then on are refused to processes that do not know it.
    pub from: Timestamp,
}

/// The time, in milliseconds, before a version is in force, from which on processes that do not know it are refused: more
/// than clocks that are compared with main's differ by.
const SLACK_MS: i64 = 2_000;

impl Fence {
    /// The fences of a list of versions. The first needs none: every process knows one.
    #[must_use]
    pub fn of(versions: &[VersionRecord]) -> Vec<Self> {
        let fence = |version: &VersionRecord| Self {
            version: version.number,
            from: version.from.plus_millis(-SLACK_MS),
        };
        versions.iter().skip(1).map(fence).collect()
    }
}

/// The layout as main has it while no other process may change it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayoutState {
    /// Every version, from the first on.
    pub versions: Vec<VersionRecord>,
    /// Main's time.
    pub now: Timestamp,
    /// The version of the catalogue.
    pub catalogue: u64,
    /// The epochs that are open, of every gate.
    pub open_epochs: Vec<u64>,
    /// Processes that live and go by an earlier version of the catalogue.
    pub behind: Vec<String>,
    /// Processes that live and have opened fewer shards than are asked for.
    pub narrow: Vec<String>,
    /// The last movement of rows; none before the first.
    pub movement: Option<Moving>,
}

impl LayoutState {
    /// True while rows are being moved.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.movement.as_ref().is_some_and(|moving| moving.runs)
    }
}

/// Main's record of the layout.
#[async_trait]
pub trait LayoutServer: Send + Sync {
    /// Every version, from the first on.
    async fn layouts(&self) -> Result<Vec<VersionRecord>, DatabaseError>;

    /// Takes layout and catalogue: no other process changes either meanwhile. Asks for processes that have opened fewer shards
    /// than that.
    async fn change_layout(&self, shards: NonZeroU16) -> Result<Box<dyn ChangingLayout>, DatabaseError>;

    /// The last movement of rows; none before the first.
    async fn movement(&self) -> Result<Option<Moving>, DatabaseError>;

    /// Gives an order to the movement that goes on; returns it as it is then, or none if none goes on.
    async fn order_movement(&self, order: MoveOrder) -> Result<Option<Moving>, DatabaseError>;

    /// Takes the lock of the process that moves rows; none while another process moves rows, retires results, or makes the books
    /// anew.
    async fn lock_mover(&self) -> Result<Option<Box<dyn MoverLock>>, DatabaseError>;
}

/// An order to a movement that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveOrder {
    /// The most rows a second.
    Rate(NonZeroU32),
    /// No row more for now.
    Stop,
}

/// The lock of the process that moves rows. Should the process be frozen, or be silent for long, main lets go of it soon.
#[async_trait]
pub trait MoverLock: MainLock + Sync {
    /// Writes how far the movement has come that goes on; returns it as it is then, with its orders. An error says that the
    /// lock may be another's by now.
    async fn note(&mut self, moving: &Moving) -> Result<Option<Moving>, DatabaseError>;
}

/// A change of the layout under way. Dropped before it is committed, it has changed nothing.
#[async_trait]
pub trait ChangingLayout: Send {
    /// The state when it began.
    fn state(&self) -> &LayoutState;

    /// Writes these versions, each in place of what there is of it, and a movement of rows if one is given, and records the
    /// operator and the purpose. The catalogue goes on by one version, so that every process reads them.
    async fn commit(
        self: Box<Self>,
        versions: &[VersionRecord],
        moving: Option<&Moving>,
        operator: &str,
        what: &str,
    ) -> Result<(), DatabaseError>;
}
