//! Rows that move, in memory.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::{CouponResult, Placement, ResultId, RowKey, ShardId, TableId};
use coupon_servers::seam::{
    Alike, Batch, Begun, DatabaseError, Departure, Inserted, Key, MoveNote, MovingRows, MovingServer,
    ShardProgress, Slice, StoringError,
};
use coupon_store::{PlacedResult, Totals};
use tokio::sync::OwnedMutexGuard;

use super::session::Session;
use super::shard::{Shard, ShardMemory};
use super::storing::{alike, held};
use crate::world::{NoAnswer, World};

/// The uncommitted writes of a transaction.
#[derive(Debug, Default)]
struct Staged {
    gone: Vec<(TableId, CouponResult, Placement)>,
    rows: Vec<(TableId, CouponResult)>,
    forgets: bool,
}

/// A connection with its transaction, if one is under way. That locks the row of state, and then all rows that any step changes.
struct Moving {
    session: Session,
    state: Option<OwnedMutexGuard<()>>,
    rows: Option<OwnedMutexGuard<()>>,
    staged: Staged,
}

impl Moving {
    async fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut ShardMemory, &mut Staged) -> T,
    ) -> Result<T, StoringError> {
        let Self { session, staged, .. } = self;
        session.ask(|memory| ask(memory, staged)).await
    }
}

/// The rows of a table and what leaves the shard, by their ids.
fn found(memory: &ShardMemory, table: TableId, id: ResultId) -> Option<CouponResult> {
    let stored = memory.tables.get(&table).and_then(|rows| rows.get(&id.number())).copied();
    let leaves = || memory.leaving.get(&id.number()).map(|row| row.result);
    stored.or_else(leaves)
}

#[async_trait]
impl MovingServer for Shard {
    async fn moving(&self) -> Result<Box<dyn MovingRows>, StoringError> {
        self.ask(|_| ()).await.map_err(StoringError::Failed)?;
        let (session, staged) = (Session::open(self), Staged::default());
        Ok(Box::new(Moving { session, state: None, rows: None, staged }))
    }

    async fn scan(&self, table: TableId, slice: Slice) -> Result<Vec<Key>, DatabaseError> {
        let after = slice.after.map_or(-1, ResultId::number);
        let before = ResultId::earliest_at(slice.before).number();
        let key = |row: &CouponResult| {
            let (id, user, room) = (row.result_id, row.user_id, row.room_id);
            Key { id, row: RowKey { user, room, time: id.time() } }
        };
        self.ask(|memory| {
            let rows = memory.tables.get(&table).into_iter().flatten();
            let wanted = rows.filter(|(id, _)| **id > after && **id < before).take(slice.most);
            wanted.map(|(_, row)| key(row)).collect()
        })
        .await
    }

    async fn leaving(&self) -> Result<Option<Batch>, DatabaseError> {
        self.ask(|memory| {
            let rows: Vec<PlacedResult> = memory.leaving.values().copied().collect();
            (!rows.is_empty()).then_some(Batch { number: memory.moves.batch, rows })
        })
        .await
    }

    async fn arrived(&self, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, DatabaseError> {
        self.ask(|memory| {
            let stored = |row: &PlacedResult| {
                let table = memory.tables.get(&row.placement.table)?;
                table.get(&row.result.result_id.number()).copied()
            };
            rows.iter().filter_map(stored).collect()
        })
        .await
    }

    async fn look_for(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<CouponResult>), DatabaseError> {
        self.ask(|memory| {
            let rows = ids.iter().filter_map(|id| found(memory, table, *id));
            (memory.reached(), rows.collect())
        })
        .await
    }
}

#[async_trait]
impl MovingRows for Moving {
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let state = self.ask(|memory, _| Arc::clone(&memory.row)).await?;
        self.state = Some(state.lock_owned().await);
        self.ask(|memory, _| memory.begun()).await.map(Some)
    }

    async fn none_leaves(&mut self) -> Result<bool, StoringError> {
        self.ask(|memory, _| memory.leaving.is_empty()).await
    }

    async fn leave(&mut self, departure: &Departure) -> Result<(), StoringError> {
        let rows = self.ask(|memory, _| Arc::clone(&memory.stepping)).await?;
        // A step that has rows waits for the row of state: of the two this one is given up.
        let Ok(rows) = rows.try_lock_owned() else {
            return Err(StoringError::Conflict(self.session.shard.failed(NoAnswer::Refused)));
        };
        self.rows = Some(rows);
        let Departure { table, rows: ids, .. } = departure.clone();
        self.ask(move |memory, staged| {
            for (id, to) in ids {
                let row = memory.tables.get(&table).and_then(|rows| rows.get(&id.number()));
                staged.gone.extend(row.map(|row| (table, *row, to)));
            }
        })
        .await
    }

    async fn last_arrival(&mut self, from: ShardId) -> Result<u64, StoringError> {
        self.ask(|memory, _| memory.arrivals.get(&from).copied().unwrap_or(0)).await
    }

    async fn put(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Inserted, StoringError> {
        let put = self.ask(|memory, staged| {
            memory.tables.get(&table)?;
            let before = staged.rows.len();
            for row in rows {
                let taken = alike(memory, &staged.rows, table, row).into_iter().any(|other| {
                    other.id == row.result_id.number() || (row.slot.is_some() && other.slot == row.slot)
                });
                if taken {
                    staged.rows.truncate(before);
                    return Some(Inserted::Duplicate);
                }
                staged.rows.push((table, **row));
            }
            Some(Inserted::All)
        });
        put.await?.ok_or_else(|| StoringError::NoTable(self.session.shard.failed(NoAnswer::Refused)))
    }

    async fn alike(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        self.ask(|memory, staged| {
            let found = rows.iter().flat_map(|row| alike(memory, &staged.rows, table, row));
            let by_id: BTreeMap<i64, Alike> = found.map(|alike| (alike.id, alike)).collect();
            by_id.into_values().collect()
        })
        .await
    }

    async fn forget(&mut self) -> Result<Totals, StoringError> {
        self.ask(|memory, staged| {
            staged.forgets = true;
            let mut totals = Totals::default();
            memory.leaving.values().for_each(|row| totals += Totals::of(&row.result));
            totals
        })
        .await
    }

    async fn commit(&mut self, note: &MoveNote) -> Result<(), StoringError> {
        let Self { session, state, rows, staged } = self;
        let (shard, note, locks, staged) =
            (session.shard.shard, *note, (state.take(), rows.take()), take(staged));
        let written = move |world: &World| {
            tell(world, shard, &staged, &note);
            if let Some(memory) = world.state().shards.get_mut(shard.index()) {
                write(memory, staged, &note);
            }
        };
        session.commit(locks, written).await
    }
}

fn tell(world: &World, shard: ShardId, staged: &Staged, note: &MoveNote) {
    let moves = note.moves;
    for (_, row, to) in &staged.gone {
        let id = row.result_id;
        world.tell(|| format!("shard {shard}: {id} leaves for {to} in batch {}", moves.batch));
    }
    for (_, row) in &staged.rows {
        world.tell(|| format!("shard {shard}: {} arrives", row.result_id));
    }
    if staged.forgets {
        world.tell(|| format!("shard {shard}: forgets batch {}", moves.batch));
    }
}

fn write(memory: &mut ShardMemory, staged: Staged, note: &MoveNote) {
    let Staged { gone, rows, forgets } = staged;
    if forgets {
        memory.leaving.clear();
    }
    for (table, row, placement) in gone {
        let id = row.result_id.number();
        if let Some(rows) = memory.tables.get_mut(&table) {
            rows.remove(&id);
        }
        memory.holds.retain(|(_, of), _| *of != id);
        memory.leaving.insert(id, PlacedResult { placement, result: row });
    }
    for (table, row) in rows {
        memory.holds.extend(held(&row).map(|held| (held, table)));
        memory.tables.entry(table).or_default().insert(row.result_id.number(), row);
    }
    memory.moves = note.moves;
    memory.arrivals.extend(note.arrived);
    memory.sums += note.more;
    memory.sums -= note.less;
    memory.commits += 1;
}
