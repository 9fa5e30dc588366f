//! One transaction of a consumer on its shard: rows, the outbox entry for main, markers.
//!
//! Transactions of one shard take turns, since each begins by locking the shard's row of state. So a consumer that
//! has been replaced unawares does no harm: whatever it stores again is found to be stored.
//!
//! A transaction costs a round trip to begin, one for each thousand rows, and one to note them and commit.

use std::collections::HashSet;

use coupon_core::books::{Behind, Movement};
use coupon_core::{CouponResult, GateCount, ResultId, ShardId, TableId, Timestamp};
use coupon_store::PlacedResult;
use coupon_store::failpoints::{self, Mechanism};

use super::background::Background;
use super::handles::Floors;
use super::late::{LateError, Sorted};
use super::stored::{KnownRow, Stored};
use crate::outbox::{self, Moves};
use crate::seam::{Begun, GateEpochs, Inserted, Marker, Note, Storing, StoringError};

/// The most rows that one statement inserts.
const ROWS: usize = 1_000;
/// Markers are of no use once their senders have seen them.
const MARKERS_KEPT_MS: i64 = 3_600_000;

/// A result from the queue, and the gate's epoch in which it was granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    pub(super) row: PlacedResult,
    pub(super) epoch: u64,
}

/// The messages that came through the queue together.
#[derive(Debug, Default)]
pub(super) struct TakenMessages {
    pub(super) results: Vec<Arrived>,
    pub(super) markers: Vec<Marker>,
    pub(super) messages: u64,
    /// The time at which the last of the messages was handed over, in milliseconds since 1970.
    pub(super) sent: i64,
}

/// The outcome of a committed transaction.
#[derive(Debug, Default)]
pub(super) struct StoredBatch {
    pub(super) added: u64,
    /// Results that contradict what is stored, or came too late.
    pub(super) parked: HashSet<ResultId>,
    /// Results that were stored before, and gave their stock back since.
    pub(super) gone: HashSet<ResultId>,
    /// Results that another shard stores.
    pub(super) passed: HashSet<ResultId>,
}

/// The least that a shard must have: it was put back to an earlier state if it has less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    /// The last change that main has applied.
    pub(super) told: i64,
    /// Transactions that this process has seen committed.
    pub(super) commits: u64,
}

impl Floor {
    /// Refuses a shard that has less.
    pub(crate) fn check(self, outbox_id: i64, commits: u64) -> Result<(), LostData> {
        if failpoints::is_off(Mechanism::Floors) {
            return Ok(());
        }
        Behind::refuse(self.told, outbox_id)?;
        if commits < self.commits { Err(LostData::Seen { seen: self.commits, has: commits }) } else { Ok(()) }
    }
}

/// A shard was put back to an earlier state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LostData {
    #[error(transparent)]
    Told(#[from] Behind),
    #[error(
        "it has lost data: this process has seen {seen} transactions of it committed, and it knows {has}; put back a later copy of \
         it, or everything as it was at one moment"
    )]
    Seen { seen: u64, has: u64 },
}

/// The reason that nothing was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The shard is of another data set, or of none.
    #[error("it does not hold data set {0}")]
    OtherDataset(String),
    /// The shard goes by another list of gates than this process.
    #[error(
        "its gates are others by now: start this process again, with setting `servers.redis` as it is now; where the command that \
         changes them was cut short, run it again"
    )]
    OtherGates,
    /// The shard was put back to an earlier state.
    #[error(transparent)]
    LostData(#[from] LostData),
    #[error(transparent)]
    Storing(#[from] StoringError),
    #[error(transparent)]
    Late(#[from] LateError),
}

/// A shard, and what this process has seen of it.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) dataset: &'a str,
    /// The list of gates that this process goes by, and their number.
    pub(super) list: u64,
    pub(super) gates: GateCount,
    pub(super) shard: ShardId,
    pub(super) floors: &'a Floors,
}

impl Of<'_> {
    /// Refuses a shard of another data set or with other gates, or one that has less than this process has seen: what it had seen
    /// before the shard's row of state was taken, since nothing is committed there until the transaction ends.
    pub(super) fn check(self, begun: Option<Begun>) -> Result<Begun, StoreError> {
        let begun = begun.ok_or_else(|| StoreError::OtherDataset(self.dataset.to_owned()))?;
        if begun.list != self.list {
            return Err(StoreError::OtherGates);
        }
        self.floors.of(self.shard).check(begun.outbox_id, begun.commits)?;
        Ok(begun)
    }

    /// Takes note that the transaction is committed which began so.
    pub(super) fn committed(self, begun: Begun) {
        self.floors.saw_committed(self.shard, begun.commits + 1);
    }
}

/// Stores everything, or nothing; after an error the connection must be dropped. Every table must be there: making one
/// would end the transaction.
pub(super) async fn store(
    storing: &mut dyn Storing,
    background: &Background,
    of: Of<'_>,
    work: &TakenMessages,
    now: Timestamp,
) -> Result<StoredBatch, StoreError> {
    let begun = of.check(storing.begin().await?)?;
    let sorted = background.sort_late(of.shard, begun.moves, &work.results).await?;
    let Sorted { here, late, gone, contradicting, passed } = sorted;
    let done = StoredBatch { gone, passed, ..StoredBatch::default() };
    let mut moves = Moves::new();
    let added = outbox::add_stored(&mut moves, storing.untold().await?);
    let done = StoredBatch { added, ..done };
    let (gates, closed) = (of.gates, begun.closed);
    let mut store = Store { storing, now, outbox_id: begun.outbox_id, gates, closed, moves, late, done };
    let closed = if failpoints::is_off(Mechanism::Epoch) { GateEpochs::default() } else { closed };
    let is_closed = |arrived: &&Arrived| arrived.epoch <= closed.of(gates.of(arrived.row.result.coupon_id));
    let (too_late, results): (Vec<&Arrived>, Vec<&Arrived>) = here.into_iter().partition(is_closed);
    store.insert(&unique(&results)).await?;
    for (Arrived { row, .. }, reason) in contradicting {
        store.park(row.placement.table, &row.result, &reason).await?;
    }
    for arrived in too_late {
        let reason = format!("it came after epoch {} of the gate was closed", arrived.epoch);
        store.park_unless_stored(&arrived.row, &reason).await?;
    }
    store.note_and_commit(work).await?;
    of.committed(begun);
    Ok(store.done)
}

/// The results by table, in the order of their ids, each once: a grab that was handed over twice may come twice. In
/// that order they are appended to their table, and to their room's part of its index.
fn unique<'a>(results: &[&'a Arrived]) -> Vec<&'a PlacedResult> {
    let key = |row: &PlacedResult| {
        let result = &row.result;
        (row.placement.table, result.result_id, result.user_id, result.coupon_id, result.room_id)
    };
    let mut rows: Vec<&PlacedResult> = results.iter().map(|arrived| &arrived.row).collect();
    // Each message is in that order already, which this sort makes use of.
    rows.sort_by_key(|row| key(row));
    rows.dedup_by_key(|row| key(row));
    rows
}

struct Store<'a> {
    storing: &'a mut dyn Storing,
    now: Timestamp,
    outbox_id: i64,
    gates: GateCount,
    /// The epochs that were closed when it began.
    closed: GateEpochs,
    moves: Moves,
    /// Rows that may have come behind a mover.
    late: u64,
    done: StoredBatch,
}

impl Store<'_> {
    async fn insert(&mut self, rows: &[&PlacedResult]) -> Result<(), StoringError> {
        for of_table in rows.chunk_by(|a, b| a.placement.table == b.placement.table) {
            let Some(table) = of_table.first().map(|row| row.placement.table) else { continue };
            let results: Vec<&CouponResult> = of_table.iter().map(|row| &row.result).collect();
            for chunk in results.chunks(ROWS) {
                match self.insert_all(table, chunk).await? {
                    Inserted::All => self.count(chunk),
                    Inserted::Duplicate => self.sort_out(table, chunk).await?,
                }
            }
        }
        Ok(())
    }

    /// All of them, or none.
    async fn insert_all(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
    ) -> Result<Inserted, StoringError> {
        self.storing.insert(table, results, failpoints::is_off(Mechanism::Conflicts)).await
    }

    fn count(&mut self, results: &[&CouponResult]) {
        for result in results {
            *self.moves.entry((result.coupon_id, Movement::Stored)).or_default() += 1;
        }
        self.done.added += results.len() as u64;
    }

    /// Some rows would not go in: those that are stored already are repeats, any other that is like one of them is a
    /// contradiction, and the rest is stored. One by one if need be: two rows of one statement may contradict each
    /// other.
    async fn sort_out(&mut self, table: TableId, results: &[&CouponResult]) -> Result<(), StoringError> {
        let stored = Stored::read(self.storing, table, results).await?;
        let (mut fresh, mut contradicted) = (Vec::new(), Vec::new());
        for result in results {
            match stored.about(result) {
                KnownRow::Fresh => fresh.push(*result),
                KnownRow::Stored if failpoints::is_off(Mechanism::Repeats) => self.count(&[result]),
                KnownRow::Stored => {}
                KnownRow::Gone => self.is_gone(result),
                KnownRow::Contradicted(reason) => contradicted.push((*result, reason)),
            }
        }
        let inserted = if fresh.is_empty() { Inserted::All } else { self.insert_all(table, &fresh).await? };
        match inserted {
            Inserted::All => self.count(&fresh),
            Inserted::Duplicate => {
                for result in &fresh {
                    Box::pin(self.sort_out(table, &[*result])).await?;
                }
            }
        }
        for (result, reason) in contradicted {
            self.park(table, result, &reason).await?;
        }
        Ok(())
    }

    /// Parks a result that came too late, unless it is a repeat.
    async fn park_unless_stored(&mut self, row: &PlacedResult, reason: &str) -> Result<(), StoringError> {
        let (table, result) = (row.placement.table, &row.result);
        let stored = Stored::read(self.storing, table, &[result]).await?;
        match stored.about(result) {
            KnownRow::Stored => Ok(()),
            KnownRow::Gone => {
                self.is_gone(result);
                Ok(())
            }
            KnownRow::Fresh | KnownRow::Contradicted(_) => self.park(table, result, reason).await,
        }
    }

    /// Takes note of a repeat whose stock was given back since: the gate may have granted it anew.
    fn is_gone(&mut self, result: &CouponResult) {
        self.done.gone.insert(result.result_id);
    }

    /// Keeps a result that cannot be stored. It holds its stock, and waits for a person.
    async fn park(
        &mut self,
        table: TableId,
        result: &CouponResult,
        reason: &str,
    ) -> Result<(), StoringError> {
        let id = result.result_id;
        tracing::error!(result_id = %id, %table, reason, "a result cannot be stored; it is parked");
        self.storing.park(table, result, reason, self.now).await?;
        self.done.parked.insert(id);
        Ok(())
    }

    /// Writes the markers, the outbox entry and the shard's sums, and commits.
    async fn note_and_commit(&mut self, work: &TakenMessages) -> Result<(), StoringError> {
        let entries = outbox::entries(&self.moves, self.outbox_id);
        let mut closed = self.closed;
        for marker in work.markers.iter().filter(|marker| marker.closes > 0) {
            closed.note(self.gates, marker.closes);
        }
        let note = Note {
            now: self.now,
            markers: &work.markers,
            markers_from: self.now.plus_millis(-MARKERS_KEPT_MS),
            outbox_id: outbox::last_of(&entries, self.outbox_id),
            entries: &entries,
            closed,
            sent: work.sent,
            added: self.done.added,
            late: self.late,
            messages: work.messages,
            received: work.results.len() as u64,
        };
        self.storing.commit(&note).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_has_less_than_was_seen_is_refused() {
        let floor = Floor { told: 5, commits: 9 };
        assert_eq!(floor.check(5, 9), Ok(()));
        assert_eq!(floor.check(4, 9), Err(LostData::Told(Behind { told: 5, has: 4 })));
        assert_eq!(floor.check(6, 8), Err(LostData::Seen { seen: 9, has: 8 }));
    }
}
