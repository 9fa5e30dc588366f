//! Requests of the protocol to a shard's database.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, GateCount, ResultId, TableId, Timestamp, VersionNumber};
use coupon_store::{Change, Totals};

use super::{GateEpochs, Hold, MovingServer, Release, ShardMoves};
pub use crate::broker::Marker;
pub use crate::mysql::DatabaseError;
pub use crate::status::Look;

/// A shard's row of state, as a transaction that has it finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The last entry of its outbox.
    pub outbox_id: i64,
    /// Results of these epochs, and of earlier ones of their gates, are not taken any more.
    pub closed: GateEpochs,
    /// The list of gates that it goes by, as main counts them.
    pub list: u64,
    /// The transactions so far.
    pub commits: u64,
    /// The shard's own record of what has moved from there.
    pub moves: ShardMoves,
}

/// A shard's row of state, and what it has heard of epochs and versions of the layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardState {
    /// The last epochs that were announced or closed there.
    pub last_epochs: GateEpochs,
    /// The latest version of the layout that was announced to it; 0 before any.
    pub layout: VersionNumber,
    /// The last entry of its outbox.
    pub outbox_id: i64,
    /// The first entry that its outbox still has; the next one, where it has none. What comes before is taken off once main
    /// has it.
    pub untold_from: i64,
    /// The transactions so far.
    pub commits: u64,
}

impl ShardState {
    /// Says whether main, which has applied the outbox up to this entry, has all that was taken off it. Where it has not, it was
    /// put back to an earlier state. Main is asked after the shard, since more may be applied and taken off between the two.
    #[must_use]
    pub const fn is_known_to(&self, told: i64) -> bool {
        self.untold_from <= told + 1
    }
}

/// A shard's progress, as a connection that reads rows finds it before: the shard was put back to an earlier state if that
/// is less than was seen of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardProgress {
    /// The last entry of its outbox.
    pub outbox_id: i64,
    /// The transactions so far.
    pub commits: u64,
}

/// The outcome of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// All rows went in.
    All,
    /// None did: one is like a row that is there, or like another of them.
    Duplicate,
}

/// A stored row, as far as another result can be like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alike {
    /// The result's id.
    pub id: i64,
    /// Its user.
    pub user: u64,
    /// The coupon.
    pub coupon: u64,
    /// The coupon's room.
    pub room: u64,
    /// The slot; none if it gave its stock back.
    pub slot: Option<u8>,
}

/// An entry of a shard's outbox: how many rows of which coupons moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its number.
    pub id: i64,
    /// JSON: a list of coupons and rows.
    pub deltas: String,
}

/// A transaction's notes beside its rows.
#[derive(Debug)]
pub struct Note<'a> {
    /// The time now.
    pub now: Timestamp,
    /// Markers that came through the queue.
    pub markers: &'a [Marker],
    /// Older markers than this are of no use any more.
    pub markers_from: Timestamp,
    /// New entries of the outbox.
    pub entries: &'a [OutboxEntry],
    /// The last entry of the outbox from now on.
    pub outbox_id: i64,
    /// Results of these epochs, and of earlier ones of their gates, are not taken from now on.
    pub closed: GateEpochs,
    /// The time at which the last message was handed over, in milliseconds since 1970.
    pub sent: i64,
    /// The rows that went in.
    pub added: u64,
    /// Those of them, and repeats, whose version of the layout has rows that leave the shard.
    pub late: u64,
    /// The messages taken, and the results in them.
    pub messages: u64,
    /// The results in them.
    pub received: u64,
}

/// A result that took a step, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// The row before.
    pub before: CouponResult,
    /// The row as it is now, if it took the step.
    pub after: Option<CouponResult>,
}

/// Results that were due, and expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// The number of those that were due; some may have been confirmed or released meanwhile.
    pub due: usize,
    /// Those that expired, as they were before.
    pub rows: Vec<CouponResult>,
}

/// A transaction's notes on results that took a step.
#[derive(Debug)]
pub struct StepsNote<'a> {
    /// The time now.
    pub now: Timestamp,
    /// New entries of the outbox.
    pub entries: &'a [OutboxEntry],
    /// The last entry of the outbox from now on.
    pub outbox_id: i64,
    /// Results that the gate is to let go of: they wait with these entries.
    pub releases: &'a [Waiting],
    /// The sums to add to the shard's.
    pub sums: Totals,
}

/// A result that the gate may still have to let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The entry of the outbox that waits with it.
    pub outbox_id: i64,
    /// The release that the gate is to do.
    pub release: Release,
    /// The last epoch that was closed at the shard when its stock was given back.
    pub closed: u64,
}

/// A transaction failed. It left nothing behind.
#[derive(Debug, thiserror::Error)]
pub enum StoringError {
    /// A table is not there any more.
    #[error(transparent)]
    NoTable(DatabaseError),
    /// It met another transaction that took the same rows in another order.
    #[error(transparent)]
    Conflict(DatabaseError),
    /// Whatever else.
    #[error(transparent)]
    Failed(DatabaseError),
}

/// A shard's database. Each question is answered for one moment.
#[async_trait]
pub trait ShardServer: MovingServer {
    /// Its name in an error.
    fn name(&self) -> String;

    /// True where it decides grabs, and stores what it grants: whatever is acknowledged is stored.
    fn keeps_stock(&self) -> bool {
        false
    }

    /// A connection to store results over.
    async fn storing(&self) -> Result<Box<dyn Storing>, DatabaseError>;

    /// The tables of results there are, the latest first.
    async fn tables(&self) -> Result<Vec<TableId>, DatabaseError>;

    /// Makes a table, unless it is there.
    async fn make_table(&self, table: TableId) -> Result<(), DatabaseError>;

    /// Looks at the shard, and at the server where that was not done lately. The tables are listed after the look, if it
    /// differs from the last one.
    async fn look(&self, before: &Look) -> Result<(Look, Option<Vec<TableId>>), DatabaseError>;

    /// The state that it is in.
    async fn state(&self) -> Result<ShardState, DatabaseError>;

    /// Makes sure that it belongs to its data set, and has written the entries up to this one, the last that main has applied.
    async fn check(&self, told: i64) -> Result<(), DatabaseError>;

    /// Has it remember that there is this epoch, of one of so many gates.
    async fn announce(&self, gates: GateCount, epoch: u64) -> Result<(), DatabaseError>;

    /// Has it remember that the layout has this version, unless it knows of a later one.
    async fn announce_layout(&self, version: VersionNumber) -> Result<(), DatabaseError>;

    /// The markers among these that are stored.
    async fn markers(&self, among: &[String]) -> Result<Vec<String>, DatabaseError>;

    /// Reads the rows of some coupons in a table that a gate is to know of, one part after the other: those that take
    /// stock, and those that answer a request and gave theirs back since a moment. Says how far the shard was.
    async fn read_holds(
        &self,
        table: TableId,
        coupons: RangeInclusive<CouponId>,
        since: Timestamp,
        reader: &mut dyn ReadsHolds,
    ) -> anyhow::Result<ShardProgress>;

    /// The results that are parked.
    async fn parked(&self) -> Result<Vec<Hold>, DatabaseError>;

    /// Rows of a table that take stock, by their ids, from after one of them on; and how far the shard was.
    async fn rows_after(
        &self,
        table: TableId,
        id: i64,
        most: usize,
    ) -> Result<(ShardProgress, Vec<Hold>), DatabaseError>;

    /// Those of these results that are in a table, and whether they take stock; and how far the shard was.
    async fn take_stock(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<(ResultId, bool)>), DatabaseError>;

    /// A transaction in which results take a step.
    async fn stepping(&self) -> Result<Box<dyn Stepping>, StoringError>;

    /// The moment at which the next result is due that is held.
    async fn next_due(&self) -> Result<Option<Timestamp>, DatabaseError>;

    /// Results that the gate may still have to let go of, the earliest first, from after one of them on.
    async fn releases(&self, after: Option<Waiting>, most: usize) -> Result<Vec<Waiting>, DatabaseError>;

    /// Takes note that the gate has let go of these.
    async fn forget_releases(&self, gone: &[Waiting]) -> Result<(), DatabaseError>;

    /// Entries of its outbox that wait for no release, from after one of them on; none if it belongs to another data
    /// set.
    async fn outbox_after(&self, id: i64, most: usize) -> Result<Vec<OutboxEntry>, DatabaseError>;

    /// Takes entries of its outbox away, up to one of them.
    async fn forget_outbox(&self, up_to: i64) -> Result<(), DatabaseError>;
}

/// Takes rows while they are read.
#[async_trait]
pub trait ReadsHolds: Send {
    /// Takes the next part of them.
    async fn take(&mut self, holds: Vec<Hold>) -> anyhow::Result<()>;
}

/// A connection on which one transaction follows the other. Each begins with [`Storing::begin`] and ends with
/// [`Storing::commit`]; a connection that is dropped before has changed nothing. After an error it must be dropped.
#[async_trait]
pub trait Storing: Send + Sync {
    /// The tables of results there are.
    async fn tables(&mut self) -> Result<Vec<TableId>, StoringError>;

    /// Makes a table, unless it is there: outside of any transaction.
    async fn make_table(&mut self, table: TableId) -> Result<(), StoringError>;

    /// Takes the shard's row of state until the transaction ends. `None` where the shard belongs to another data set.
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError>;

    /// The number of rows of each coupon that grabs have stored and no outbox entry counts yet: an entry of this transaction
    /// counts them.
    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        Ok(Vec::new())
    }

    /// Inserts rows, all or none; those that do not go in are ignored if that is said.
    async fn insert(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
        ignoring: bool,
    ) -> Result<Inserted, StoringError>;

    /// The rows of a table that have one of these ids, or are of one of these users and coupons.
    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError>;

    /// Parks a result.
    async fn park(
        &mut self,
        table: TableId,
        result: &CouponResult,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoringError>;

    /// Notes what is to be noted, and commits.
    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError>;

    /// Ends the connection in good order.
    async fn close(self: Box<Self>);
}

/// A transaction in which results take a step. Dropped before it commits, it has changed nothing; after an error it must
/// be dropped.
///
/// A row is locked before the entry of the list of what is held. The shard's row of state may be taken before either or
/// after both: of two transactions that wait for each other one meets a conflict.
#[async_trait]
pub trait Stepping: Send {
    /// Takes the shard's row of state until the transaction ends. `None` where the shard belongs to another data set.
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError>;

    /// The number of rows of each coupon that grabs have stored and no outbox entry counts yet: an entry of this transaction
    /// counts them.
    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        Ok(Vec::new())
    }

    /// Takes a step of a result, if its row allows it. `None` if that user has no such result in that table.
    async fn change(&mut self, table: TableId, change: &Change) -> Result<Option<Stepped>, StoringError>;

    /// Lets results expire that are due, at most so many.
    async fn expire(&mut self, now: Timestamp, most: usize) -> Result<Expired, StoringError>;

    /// Notes what is to be noted, and commits.
    async fn commit(self: Box<Self>, note: &StepsNote<'_>) -> Result<(), StoringError>;
}
