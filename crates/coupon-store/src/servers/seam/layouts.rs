//! What the protocol asks of main about a layout that changes.

use std::num::NonZeroU16;

use async_trait::async_trait;
use coupon_core::{Timestamp, VersionNumber};

use super::DatabaseError;
use crate::VersionRecord;

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

/// The layout as main has it while nobody else may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutState {
    /// Every version, from the first on.
    pub versions: Vec<VersionRecord>,
    /// Main's time.
    pub now: Timestamp,
    /// The version of the catalogue.
    pub catalogue: u64,
    /// The epoch of the gate that is open, if one is.
    pub open_epoch: Option<u64>,
    /// Processes that live and go by an earlier version of the catalogue.
    pub behind: Vec<String>,
    /// Processes that live and have opened fewer shards than are asked for.
    pub narrow: Vec<String>,
    /// True while rows are being moved.
    pub moves: bool,
}

/// Main's record of the layout.
#[async_trait]
pub trait LayoutServer: Send + Sync {
    /// Every version, from the first on.
    async fn layouts(&self) -> Result<Vec<VersionRecord>, DatabaseError>;

    /// Takes layout and catalogue: nobody else changes either meanwhile. Asks for processes that have opened fewer shards
    /// than that.
    async fn change_layout(&self, shards: NonZeroU16) -> Result<Box<dyn ChangingLayout>, DatabaseError>;
}

/// A change of the layout under way. Dropped before it is committed, it has changed nothing.
#[async_trait]
pub trait ChangingLayout: Send {
    /// What there was when it began.
    fn state(&self) -> &LayoutState;

    /// Writes these versions, each in place of what there is of it, and records by whom and what for. The catalogue goes on
    /// by one version, so that every process reads them.
    async fn commit(
        self: Box<Self>,
        versions: &[VersionRecord],
        operator: &str,
        what: &str,
    ) -> Result<(), DatabaseError>;
}
