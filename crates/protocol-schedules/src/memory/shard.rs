//! A shard's server in memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, ShardId, TableId, Timestamp};
use coupon_store::servers::seam::{
    Alike, Begun, DatabaseError, Hold, Inserted, Look, Marker, Note, OutboxEntry, ReadsHolds, ShardServer,
    ShardState, Storing, StoringError,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::unanswered;
use crate::world::{Line, Lost, World};

/// What a shard's server holds.
#[derive(Debug, Clone, Default)]
pub struct ShardMemory {
    /// The rows of each table, by their ids.
    pub tables: BTreeMap<TableId, BTreeMap<i64, StoredRow>>,
    /// Results that are parked.
    pub parked: BTreeMap<i64, ParkedRow>,
    /// Changes that main has not applied, or that were not taken off since.
    pub outbox: BTreeMap<i64, String>,
    /// The last of them.
    pub outbox_id: i64,
    /// Results of this epoch, and of earlier ones, are not taken any more.
    pub closed: u64,
    /// The last epoch that was announced.
    pub announced: u64,
    /// Its transactions.
    pub commits: u64,
    /// The results that it counts itself.
    pub results: u64,
    messages: u64,
    received: u64,
    as_of: i64,
    markers: BTreeMap<String, Timestamp>,
    /// Whoever has the row of state.
    row: Arc<Mutex<()>>,
}

/// A stored result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRow {
    /// Whose it is.
    pub user: u64,
    /// The coupon.
    pub coupon: u64,
    /// The coupon's room.
    pub room: u64,
}

/// A parked result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// What it is.
    pub row: StoredRow,
    /// The reason.
    pub reason: String,
}

impl ShardMemory {
    /// Every stored result.
    pub fn rows(&self) -> impl Iterator<Item = (i64, StoredRow)> + '_ {
        self.tables.values().flat_map(|rows| rows.iter().map(|(id, row)| (*id, *row)))
    }
}

fn hold((id, row): (i64, StoredRow)) -> Hold {
    Hold { coupon: row.coupon, user: row.user, id }
}

fn stored(result: &CouponResult) -> (i64, StoredRow) {
    let row =
        StoredRow { user: result.user_id.get(), coupon: result.coupon_id.get(), room: result.room_id.get() };
    (result.result_id.number(), row)
}

/// A process's way to a shard.
#[derive(Clone)]
pub(super) struct Shard {
    pub(super) line: Line,
    pub(super) shard: ShardId,
}

impl Shard {
    async fn ask<T>(&self, read: impl FnOnce(&mut ShardMemory) -> T) -> Result<T, DatabaseError> {
        let asked = self.line.ask(|state| state.shards.get_mut(self.shard.index()).map(read)).await;
        asked.and_then(|found| found.ok_or(Lost::Refused)).map_err(|lost| self.failed(lost))
    }

    async fn order(&self, act: impl FnOnce(&mut ShardMemory) + Send + 'static) -> Result<(), DatabaseError> {
        let shard = self.shard.index();
        let ordered = self.line.order(move |world| world.state().shards.get_mut(shard).map(act)).await;
        ordered.map(|_| ()).map_err(|lost| self.failed(lost))
    }

    fn failed(&self, lost: Lost) -> DatabaseError {
        unanswered(self.line.server, lost)
    }
}

#[async_trait]
impl ShardServer for Shard {
    fn name(&self) -> String {
        self.line.server.to_string()
    }

    async fn storing(&self) -> Result<Box<dyn Storing>, DatabaseError> {
        self.ask(|_| ()).await?;
        let cuts = self.line.world.cuts(self.line.server);
        Ok(Box::new(Connection { shard: self.clone(), cuts, row: None, staged: Staged::default() }))
    }

    async fn tables(&self) -> Result<Vec<TableId>, DatabaseError> {
        self.ask(|memory| memory.tables.keys().rev().copied().collect()).await
    }

    async fn make_table(&self, table: TableId) -> Result<(), DatabaseError> {
        self.order(move |memory| {
            memory.tables.entry(table).or_default();
        })
        .await
    }

    async fn look(&self, before: &Look) -> Result<(Look, Option<Vec<TableId>>), DatabaseError> {
        self.ask(|memory| {
            let look = Look {
                as_of: Timestamp::from_millis(memory.as_of),
                outbox_id: memory.outbox_id,
                results: memory.results,
                commits: memory.commits,
                messages: memory.messages,
                received: memory.received,
                parked: memory.parked.len() as u64,
                ..*before
            };
            (look, Some(memory.tables.keys().rev().copied().collect()))
        })
        .await
    }

    async fn state(&self) -> Result<ShardState, DatabaseError> {
        self.ask(|memory| ShardState {
            last_epoch: memory.closed.max(memory.announced),
            outbox_id: memory.outbox_id,
            commits: memory.commits,
        })
        .await
    }

    async fn check(&self, told: i64) -> Result<(), DatabaseError> {
        let has = self.ask(|memory| memory.outbox_id).await?;
        if has >= told {
            return Ok(());
        }
        let why = format!("it has lost data: main was told of its change {told}, and it knows {has}");
        Err(DatabaseError::new(&self.name(), "memory", "memory", &why, false))
    }

    async fn announce(&self, epoch: u64) -> Result<(), DatabaseError> {
        self.order(move |memory| memory.announced = memory.announced.max(epoch)).await
    }

    async fn markers(&self, among: &[String]) -> Result<Vec<String>, DatabaseError> {
        self.ask(|memory| among.iter().filter(|id| memory.markers.contains_key(*id)).cloned().collect()).await
    }

    async fn read_holds(
        &self,
        table: TableId,
        coupons: RangeInclusive<CouponId>,
        reader: &mut dyn ReadsHolds,
    ) -> anyhow::Result<()> {
        let rows = self.ask(|memory| memory.tables.get(&table).cloned().unwrap_or_default()).await?;
        let wanted = |row: &StoredRow| CouponId::new(row.coupon).is_ok_and(|id| coupons.contains(&id));
        reader.take(rows.into_iter().filter(|(_, row)| wanted(row)).map(hold).collect()).await
    }

    async fn parked(&self) -> Result<Vec<Hold>, DatabaseError> {
        self.ask(|memory| memory.parked.iter().map(|(id, parked)| hold((*id, parked.row))).collect()).await
    }

    async fn rows_after(&self, table: TableId, id: i64, most: usize) -> Result<Vec<Hold>, DatabaseError> {
        self.ask(|memory| {
            let rows = memory.tables.get(&table).map(|rows| rows.range(id + 1..).take(most));
            rows.into_iter().flatten().map(|(id, row)| hold((*id, *row))).collect()
        })
        .await
    }

    async fn outbox_after(&self, id: i64, most: usize) -> Result<Vec<OutboxEntry>, DatabaseError> {
        self.ask(|memory| {
            let entries = memory.outbox.range(id + 1..).take(most);
            entries.map(|(id, deltas)| OutboxEntry { id: *id, deltas: deltas.clone() }).collect()
        })
        .await
    }

    async fn forget_outbox(&self, up_to: i64) -> Result<(), DatabaseError> {
        self.order(move |memory| memory.outbox.retain(|id, _| *id > up_to)).await
    }
}

/// What a transaction has written and not committed.
#[derive(Debug, Default)]
struct Staged {
    rows: Vec<(TableId, i64, StoredRow)>,
    parked: BTreeMap<i64, ParkedRow>,
}

/// A connection on which transactions follow each other.
struct Connection {
    shard: Shard,
    cuts: u64,
    row: Option<OwnedMutexGuard<()>>,
    staged: Staged,
}

impl Connection {
    fn failed(&self, lost: Lost) -> StoringError {
        StoringError::Failed(self.shard.failed(lost))
    }

    async fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut ShardMemory, &mut Staged) -> T,
    ) -> Result<T, StoringError> {
        let Self { shard, staged, .. } = self;
        let (index, line) = (shard.shard.index(), &shard.line);
        let asked = line.ask(|state| state.shards.get_mut(index).map(|memory| ask(memory, staged))).await;
        if self.shard.line.world.cuts(self.shard.line.server) != self.cuts {
            return Err(self.failed(Lost::Refused));
        }
        asked.and_then(|found| found.ok_or(Lost::Refused)).map_err(|lost| self.failed(lost))
    }
}

fn alike(memory: &ShardMemory, staged: &Staged, table: TableId, (id, row): (i64, StoredRow)) -> Vec<Alike> {
    let there = memory.tables.get(&table).into_iter().flatten().map(|(id, row)| (*id, *row));
    let new = staged.rows.iter().filter(|(of, ..)| *of == table).map(|(_, id, row)| (*id, *row));
    let like =
        |(other, of): &(i64, StoredRow)| *other == id || (of.user, of.coupon) == (row.user, row.coupon);
    let found = there.chain(new).filter(like);
    found.map(|(id, row)| Alike { id, user: row.user, coupon: row.coupon, room: row.room }).collect()
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
        let begun = |memory: &mut ShardMemory, _: &mut Staged| Begun {
            outbox_id: memory.outbox_id,
            closed: memory.closed,
            commits: memory.commits,
        };
        self.ask(begun).await.map(Some)
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
            for (id, row) in results.iter().map(|result| stored(result)) {
                if alike(memory, staged, table, (id, row)).is_empty() {
                    staged.rows.push((table, id, row));
                } else if !ignoring {
                    staged.rows.truncate(before);
                    return Some(Inserted::Duplicate);
                }
            }
            Some(Inserted::All)
        });
        let inserted = inserted.await?;
        inserted.ok_or_else(|| StoringError::NoTable(self.shard.failed(Lost::Refused)))
    }

    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        self.ask(|memory, staged| {
            let found = results.iter().flat_map(|result| alike(memory, staged, table, stored(result)));
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
        let (id, row) = stored(result);
        let parked = ParkedRow { row, reason: reason.to_owned() };
        self.ask(|_, staged| {
            staged.parked.entry(id).or_insert(parked);
        })
        .await
    }

    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError> {
        let (Some(row), staged) = (self.row.take(), std::mem::take(&mut self.staged)) else {
            return Err(self.failed(Lost::Refused));
        };
        let noted = Noted::of(note);
        let (shard, cuts, server) = (self.shard.shard, self.cuts, self.shard.line.server);
        let committed = self.shard.line.order(move |world| {
            // A transaction ends with its connection.
            let whole = world.cuts(server) == cuts;
            if whole {
                tell(world, shard, &staged, &noted);
                if let Some(memory) = world.state().shards.get_mut(shard.index()) {
                    noted.write(memory, staged);
                }
            }
            drop(row);
            whole
        });
        match committed.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failed(Lost::Unheard)),
            Err(lost) => Err(self.failed(lost)),
        }
    }

    async fn close(self: Box<Self>) {}
}

fn tell(world: &World, shard: ShardId, staged: &Staged, noted: &Noted) {
    for (_, id, row) in &staged.rows {
        world.tell(|| format!("shard {shard}: stores {id}, coupon {} of user {}", row.coupon, row.user));
    }
    for (id, parked) in &staged.parked {
        world.tell(|| format!("shard {shard}: parks {id}: {}", parked.reason));
    }
    if noted.closes > 0 {
        world.tell(|| format!("shard {shard}: closes epoch {}", noted.closes));
    }
}

/// A note, on its way.
struct Noted {
    now: Timestamp,
    markers: Vec<Marker>,
    markers_from: Timestamp,
    entries: Vec<OutboxEntry>,
    outbox_id: i64,
    closes: u64,
    sent: i64,
    added: u64,
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
            closes: note.closes,
            sent: note.sent,
            added: note.added,
            messages: note.messages,
            received: note.received,
        }
    }

    fn write(self, memory: &mut ShardMemory, staged: Staged) {
        for (table, id, row) in staged.rows {
            memory.tables.entry(table).or_default().insert(id, row);
        }
        for (id, parked) in staged.parked {
            memory.parked.entry(id).or_insert(parked);
        }
        memory.markers.extend(self.markers.into_iter().map(|marker| (marker.id, self.now)));
        memory.markers.retain(|_, at| *at >= self.markers_from);
        memory.outbox.extend(self.entries.into_iter().map(|entry| (entry.id, entry.deltas)));
        memory.outbox_id = self.outbox_id;
        memory.closed = memory.closed.max(self.closes);
        let later = memory.as_of > self.now.millis();
        memory.as_of = if later { self.sent } else { memory.as_of.max(self.sent) };
        memory.results += self.added;
        memory.messages += self.messages;
        memory.received += self.received;
        memory.commits += 1;
    }
}
