//! Transactions in memory in which results are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::{CouponResult, ResultState, ShardId, TableId, Timestamp};
use coupon_servers::seam::{
    Alike, Begun, GateEpochs, Inserted, Marker, Note, OutboxEntry, Storing, StoringError,
};
use tokio::sync::OwnedMutexGuard;

use super::session::Session;
use super::shard::{ParkedRow, Shard, ShardMemory};
use crate::check::oversold;
use crate::world::{NoAnswer, World};

/// The uncommitted writes of a transaction.
#[derive(Debug, Default)]
struct Staged {
    rows: Vec<(TableId, CouponResult)>,
    holds: Vec<((Timestamp, i64), TableId)>,
    parked: BTreeMap<i64, ParkedRow>,
}

/// A connection on which transactions follow each other.
pub(super) struct Connection {
    session: Session,
    row: Option<OwnedMutexGuard<()>>,
    staged: Staged,
}

impl Connection {
    pub(super) fn new(shard: &Shard) -> Self {
        Self { session: Session::open(shard), row: None, staged: Staged::default() }
    }

    async fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut ShardMemory, &mut Staged) -> T,
    ) -> Result<T, StoringError> {
        let Self { session, staged, .. } = self;
        session.ask(|memory| ask(memory, staged)).await
    }
}

/// The rows of a table that have a result's id, or are in its slot.
pub(super) fn alike(
    memory: &ShardMemory,
    staged: &[(TableId, CouponResult)],
    table: TableId,
    result: &CouponResult,
) -> Vec<Alike> {
    let place = |row: &CouponResult| row.slot.map(|slot| (row.user_id, row.coupon_id, slot));
    let wanted = Some((result.user_id, result.coupon_id, result.slot.unwrap_or(0)));
    let there = memory.tables.get(&table).into_iter().flat_map(BTreeMap::values);
    let new = staged.iter().filter(|(of, _)| *of == table).map(|(_, row)| row);
    let found = there.chain(new).filter(|row| row.result_id == result.result_id || place(row) == wanted);
    let read = |row: &CouponResult| Alike {
        id: row.result_id.number(),
        user: row.user_id.get(),
        coupon: row.coupon_id.get(),
        room: row.room_id.get(),
        slot: row.slot,
    };
    found.map(read).collect()
}

/// The entry of a fresh row in the list of what is held, if it is.
pub(super) fn held(row: &CouponResult) -> Option<(Timestamp, i64)> {
    Some((row.hold_until?, row.result_id.number())).filter(|_| row.state == ResultState::Held)
}

#[async_trait]
impl Storing for Connection {
    async fn tables(&mut self) -> Result<Vec<TableId>, StoringError> {
        self.ask(|memory, _| memory.tables.keys().rev().copied().collect()).await
    }

    async fn make_table(&mut self, table: TableId) -> Result<(), StoringError> {
        self.ask(|memory, _| {
            memory.tables.entry(table).or_default();
        })
        .await
    }

    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let row = self.ask(|memory, _| Arc::clone(&memory.row)).await?;
        self.row = Some(row.lock_owned().await);
        self.staged = Staged::default();
        self.ask(|memory, _| memory.begun()).await.map(Some)
    }

    async fn insert(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
        ignoring: bool,
    ) -> Result<Inserted, StoringError> {
        let inserted = self.ask(|memory, staged| {
            memory.tables.get(&table)?;
            let before = staged.rows.len();
            for result in results {
                if alike(memory, &staged.rows, table, result).is_empty() {
                    staged.rows.push((table, **result));
                } else if !ignoring {
                    staged.rows.truncate(before);
                    return Some(Inserted::Duplicate);
                }
            }
            staged.holds.extend(results.iter().filter_map(|row| Some((held(row)?, table))));
            Some(Inserted::All)
        });
        let inserted = inserted.await?;
        inserted.ok_or_else(|| StoringError::NoTable(self.session.shard.failed(NoAnswer::Refused)))
    }

    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        self.ask(|memory, staged| {
            let found = results.iter().flat_map(|result| alike(memory, &staged.rows, table, result));
            let by_id: BTreeMap<i64, Alike> = found.map(|alike| (alike.id, alike)).collect();
            by_id.into_values().collect()
        })
        .await
    }

    async fn park(
        &mut self,
        _: TableId,
        result: &CouponResult,
        reason: &str,
        _: Timestamp,
    ) -> Result<(), StoringError> {
        let (id, parked) = (result.result_id.number(), ParkedRow { row: *result, reason: reason.to_owned() });
        self.ask(|_, staged| {
            staged.parked.entry(id).or_insert(parked);
        })
        .await
    }

    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError> {
        let (Some(row), staged) = (self.row.take(), std::mem::take(&mut self.staged)) else {
            return Err(self.session.failed(NoAnswer::Refused));
        };
        let noted = Noted::of(note);
        let shard = self.session.shard.shard;
        let written = move |world: &World| {
            tell(world, shard, &staged, &noted);
            let mut state = world.state();
            if let Some(memory) = state.shards.get_mut(shard.index()) {
                noted.write(memory, staged);
            }
            let broken = oversold(&state).filter(|broken| !state.broken.contains(broken));
            state.broken.extend(broken);
        };
        self.session.commit(row, written).await
    }

    async fn close(self: Box<Self>) {}
}

fn tell(world: &World, shard: ShardId, staged: &Staged, noted: &Noted) {
    for (_, CouponResult { result_id, coupon_id, user_id, .. }) in &staged.rows {
        world.tell(|| format!("shard {shard}: stores {result_id}, coupon {coupon_id} of user {user_id}"));
    }
    for (id, parked) in &staged.parked {
        world.tell(|| format!("shard {shard}: parks {id}: {}", parked.reason));
    }
    for Marker { closes, .. } in noted.markers.iter().filter(|marker| marker.closes > 0) {
        world.tell(|| format!("shard {shard}: closes epoch {closes}"));
    }
}

/// A note, on its way.
struct Noted {
    now: Timestamp,
    markers: Vec<Marker>,
    markers_from: Timestamp,
    entries: Vec<OutboxEntry>,
    outbox_id: i64,
    closed: GateEpochs,
    sent: i64,
    added: u64,
    late: u64,
    messages: u64,
    received: u64,
}

impl Noted {
    fn of(note: &Note<'_>) -> Self {
        Self {
            now: note.now,
            markers: note.markers.to_vec(),
            markers_from: note.markers_from,
            entries: note.entries.to_vec(),
            outbox_id: note.outbox_id,
            closed: note.closed,
            sent: note.sent,
            added: note.added,
            late: note.late,
            messages: note.messages,
            received: note.received,
        }
    }

    fn write(self, memory: &mut ShardMemory, staged: Staged) {
        for (table, row) in staged.rows {
            memory.tables.entry(table).or_default().insert(row.result_id.number(), row);
        }
        memory.holds.extend(staged.holds);
        for (id, parked) in staged.parked {
            memory.parked.entry(id).or_insert(parked);
        }
        memory.markers.extend(self.markers.into_iter().map(|marker| (marker.id, self.now)));
        memory.markers.retain(|_, at| *at >= self.markers_from);
        memory.outbox.extend(self.entries.into_iter().map(|entry| (entry.id, entry.deltas)));
        memory.outbox_id = self.outbox_id;
        memory.closed = memory.closed.max(self.closed);
        let later = memory.as_of > self.now.millis();
        memory.as_of = if later { self.sent } else { memory.as_of.max(self.sent) };
        memory.sums.results += self.added;
        memory.moves.late += self.late;
        memory.messages += self.messages;
        memory.received += self.received;
        memory.commits += 1;
    }
}
