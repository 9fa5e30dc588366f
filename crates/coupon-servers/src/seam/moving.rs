//! Requests of the protocol to a shard whose rows move.

use async_trait::async_trait;
use coupon_core::{CouponResult, ResultId, ShardId, TableId};

use super::{Alike, Begun, DatabaseError, Inserted, ShardProgress, StoringError};
pub use coupon_store::moving::{Batch, Departure, Key, ShardMoves, Slice};
use coupon_store::{PlacedResult, Totals};

/// A transaction's notes beside the rows that move in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveNote {
    /// The shard's own record of what has moved, from now on.
    pub moves: ShardMoves,
    /// A batch that has arrived, with the shard that it is from.
    pub arrived: Option<(ShardId, u64)>,
    /// The sums to add to the shard's.
    pub more: Totals,
    /// The sums to take off the shard's.
    pub less: Totals,
}

/// A shard's database, as far as its rows move.
#[async_trait]
pub trait MovingServer: Send + Sync {
    /// A connection for transactions in which rows move.
    async fn moving(&self) -> Result<Box<dyn MovingRows>, StoringError>;

    /// Rows of a table, as far as places depend on them, in the order of their ids; none of one that is not there.
    async fn scan(&self, table: TableId, slice: Slice) -> Result<Vec<Key>, DatabaseError>;

    /// The batch that is leaving, if there is one.
    async fn leaving(&self) -> Result<Option<Batch>, DatabaseError>;

    /// Reads rows that have arrived.
    async fn arrived(&self, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, DatabaseError>;

    /// Those of these results that are in a table, which may not be there, or leaving the shard; and how far the shard was.
    async fn look_for(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<CouponResult>), DatabaseError>;
}

/// Transactions in which rows move, one after the other. One that is dropped before it commits has changed nothing;
/// after an error it must be dropped. Should its process be frozen, it ends well before a lock of main's does; so does
/// a connection that is idle.
#[async_trait]
pub trait MovingRows: Send {
    /// Begins a transaction, and takes the shard's row of state until it ends. `None` where the shard belongs to
    /// another data set.
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError>;

    /// Judges whether nothing is leaving.
    async fn none_leaves(&mut self) -> Result<bool, StoringError>;

    /// Takes rows out of their table, and what is held of them out of the list of what is due, and into what is leaving.
    async fn leave(&mut self, departure: &Departure) -> Result<(), StoringError>;

    /// The last batch that has arrived from a shard; 0 before the first.
    async fn last_arrival(&mut self, from: ShardId) -> Result<u64, StoringError>;

    /// Stores rows with all that became of them, and those that are held in the list of what is due; all or none.
    async fn put(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Inserted, StoringError>;

    /// The rows of a table that have one of these ids, or are of one of these users and coupons.
    async fn alike(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Vec<Alike>, StoringError>;

    /// Empties what is leaving; returns the sums over it.
    async fn forget(&mut self) -> Result<Totals, StoringError>;

    /// Notes what is to be noted, and commits.
    async fn commit(&mut self, note: &MoveNote) -> Result<(), StoringError>;
}
