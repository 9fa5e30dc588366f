//! Moving rows from where earlier versions of the layout put them to where the latest version does that receives rows.
//!
//! A batch of rows goes in three transactions, so that no two databases have to agree about one:
//!
//! 1. at the old shard the rows go from their table into the table `leaving`, with their new places;
//! 2. at each new shard they go into their tables;
//! 3. once they were read back there, they go out of `leaving`: with the next batch, in the transaction in which that leaves, or, where
//!    that is not to leave at once, in one of their own.
//!
//! So a row is always in a table or in `leaving`, and for a moment in both, at the places of ever later versions: a
//! reader who visits the rounds of [`coupon_core::Versioned::rounds`] one after the other finds it. Batches are
//! numbered by the shard that they leave, and each shard knows the last number that arrived from each other. A mover
//! that was killed is followed by one that takes up what it left in `leaving`; one that was only frozen finds, at its
//! next step, that its number is taken.
//!
//! Grabs of earlier versions may still come to be stored while rows move: [`Arriving`] says what becomes of them.

mod arriving;
mod batch;
mod mover;
mod pace;
#[cfg(test)]
mod tests;

use coupon_core::{CouponResult, ResultId, RouteError, RowKey, ShardId, TableId, Timestamp, VersionNumber};

pub use self::arriving::Arriving;
pub use self::batch::{Batch, Departure};
pub use self::batch::{check_arrived, not_there, same_grab, slice_of};
pub use self::mover::{Ended, Mover, deliver};
pub use self::pace::{Pace, Progress};
use crate::{PlacedResult, Unavailable};

/// A shard's own record of what has moved from there, in its one row of `move_state`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardMoves {
    /// The last batch that left.
    pub batch: u64,
    /// The highest version whose rows may have begun to leave.
    pub moving_from: VersionNumber,
    /// The highest version of which no row is left there, nor comes to be stored there any more.
    pub closed: VersionNumber,
    /// Rows of versions up to `moving_from` that were stored there since those began to leave: behind the mover, perhaps.
    pub late: u64,
}

impl ShardMoves {
    /// The same, after so many rows more came late.
    #[must_use]
    pub const fn with_late(self, rows: u64) -> Self {
        Self { late: self.late + rows, ..self }
    }
}

/// A row as far as its place depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: ResultId,
    /// The key that its place depends on.
    pub row: RowKey,
}

/// The reason why no more rows are moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// A shard cannot be asked; what was begun goes on later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A row that the version which receives has no place for.
    #[error("the layout that rows are moved to has no place for result {0}: {1}")]
    NoPlace(ResultId, RouteError),
    /// The movement was stopped while no batch could have a turn.
    #[error(
        "the movement was stopped before a batch could have a turn: the gate is shut, or its lock is another's"
    )]
    Shut,
    /// Another mover has moved rows from this shard meanwhile.
    #[error("another mover was at work on shard {0}")]
    Overtaken(ShardId),
    /// A row is not where it was put. It stays in `leaving`, so that it is not lost.
    #[error(
        "result {id} was moved from shard {from} to shard {to}, and is not there as it left: it is kept in `leaving` of shard \
         {from}"
    )]
    Differs {
        /// The row.
        id: ResultId,
        /// The shard that it left.
        from: ShardId,
        /// The shard that it went to.
        to: ShardId,
    },
}

/// The shards, as far as a mover needs them. What changes anything is one transaction of one shard, and may be asked for
/// again when its outcome is not known.
#[expect(async_fn_in_trait, reason = "one task drives it, on the thread that it is on")]
pub trait MovingShards {
    /// The right to have a batch under way: no task reads all holders of a coupon meanwhile.
    type Turn;

    /// The most rows that one batch takes, whatever the rate: they are in memory, and their shard stores nothing meanwhile.
    const BATCH: u32;
    /// The most batches a second, as long as their sizes allow it.
    const BATCHES_PER_S: u32;

    /// Every shard that may have rows to move.
    fn shards(&self) -> Vec<ShardId>;

    /// Waits for the right to have a batch under way. Several may have it at once.
    async fn turn(&self) -> Result<Self::Turn, MoveError>;

    /// Begins to take rows of versions up to this one away from a shard. Every such row that is stored there is in its table
    /// by then, and whichever is stored from then on counts as late. Asked for again, it only says where the shard is.
    async fn begin(&self, shard: ShardId, up_to: VersionNumber) -> Result<ShardMoves, MoveError>;

    /// The tables of results of a shard.
    async fn tables(&self, shard: ShardId) -> Result<Vec<TableId>, MoveError>;

    /// Rows of a table in the order of their ids: those after one, from before a moment, at most so many.
    async fn scan(&self, shard: ShardId, table: TableId, slice: Slice) -> Result<Vec<Key>, MoveError>;

    /// Takes a batch out of its table and into `leaving`. It must be the next of its shard, and `leaving` empty but for the one
    /// before, where that is known to have arrived: it is forgotten.
    async fn leave(
        &self,
        turn: &Self::Turn,
        shard: ShardId,
        departure: &Departure,
        arrived: Option<u64>,
    ) -> Result<(), MoveError>;

    /// The batch that is in a shard's `leaving`, if there is one.
    async fn leaving(&self, shard: ShardId) -> Result<Option<Batch>, MoveError>;

    /// Puts the rows of a batch that go to this shard into their tables, unless it has arrived there before. It has arrived once
    /// none of them contradicts what is there: until then it is put there again.
    async fn arrive(
        &self,
        turn: &Self::Turn,
        shard: ShardId,
        from: ShardId,
        number: u64,
        rows: &[PlacedResult],
    ) -> Result<(), MoveError>;

    /// Reads rows that have arrived.
    async fn arrived(&self, shard: ShardId, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, MoveError>;

    /// Takes a batch out of `leaving`, unless that is done.
    async fn forget(&self, turn: &Self::Turn, shard: ShardId, number: u64) -> Result<(), MoveError>;

    /// Closes versions up to this one at a shard, if nothing came late but for so many rows and nothing is leaving; says whether
    /// they are closed.
    async fn close(&self, shard: ShardId, up_to: VersionNumber, late: u64) -> Result<bool, MoveError>;
}

/// A part of a table.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Rows with a greater id.
    pub after: Option<ResultId>,
    /// Rows from before that moment.
    pub before: Timestamp,
    /// The most of them.
    pub most: usize,
}
