//! One transaction of a shard's writer: tables, rows, changes of results, outbox.

use std::collections::{BTreeMap, HashSet};

use coupon_core::after_grab::Action;
use coupon_core::books::{Moved, Movement};
use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponId, CouponResult, ResultId, ResultState, ShardId, TableId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::applier::ShardChanges;
use super::archive::TablePart;
use super::rooms::{IndexWrites, Telling};
use super::{inbox, moves, sql};
use crate::moving::{Departure, ShardMoves, same_grab};
use crate::{Change, Changed, PlacedResult, Totals};

/// The outcome of a transaction, to be announced once it is committed.
#[derive(Default)]
pub(super) struct Done {
    pub(super) added: Vec<CouponResult>,
    pub(super) totals: Totals,
    /// Results that contradict what is stored: no user may get the answer that they are theirs.
    pub(super) parked: HashSet<ResultId>,
    pub(super) newly_parked: u64,
    pub(super) changed: Vec<Changed>,
    /// Results that took a step, as they are now.
    stepped: Vec<CouponResult>,
    /// The writes for the room index about them, and about those that were added.
    pub(super) told: Option<IndexWrites>,
    /// Results that gave their stock back, as they are now.
    pub(super) given_back: Vec<CouponResult>,
    /// The number of each coupon's rows that moved, by the way in which they did.
    moved: BTreeMap<(CouponId, Movement), i64>,
    /// The earliest moment until which any result that went in is held.
    pub(super) next_due: Option<Timestamp>,
    pub(super) entry: Option<ShardChanges>,
    pub(super) new_tables: Vec<TableId>,
}

/// A transaction that is rolled back unless it is committed.
pub(super) struct Store<'a> {
    pub(super) db: Transaction<'a>,
    now: Timestamp,
    pub(super) done: Done,
}

impl<'a> Store<'a> {
    pub(super) fn begin(db: &'a Connection, now: Timestamp) -> rusqlite::Result<Self> {
        let db = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        Ok(Self { db, now, done: Done::default() })
    }

    /// Everything is on disk when this returns.
    pub(super) fn commit(self) -> rusqlite::Result<Done> {
        self.db.commit()?;
        Ok(self.done)
    }

    /// Makes the tables that are not known to exist.
    pub(super) fn make_tables(
        &mut self,
        wanted: impl Iterator<Item = TableId>,
        known: &HashSet<TableId>,
    ) -> rusqlite::Result<()> {
        for table in wanted {
            if !known.contains(&table) && !self.done.new_tables.contains(&table) {
                make_table(&self.db, table)?;
                self.done.new_tables.push(table);
            }
        }
        Ok(())
    }

    /// Keeps the rows as one batch, to be sorted into their tables later.
    pub(super) fn put_in_inbox(&self, batch: i64, rows: &[PlacedResult]) -> rusqlite::Result<()> {
        inbox::put(&self.db, batch, rows)
    }

    /// Forgets the batches that have been sorted into their tables: this one, and all before it.
    pub(super) fn clear_inbox(&self, last_batch: i64) -> rusqlite::Result<()> {
        inbox::clear(&self.db, last_batch)
    }

    /// Stores rows table by table, so that each table's statement is looked up once, and user by user, so that
    /// neighbours in its indexes are written together.
    pub(super) fn store(&mut self, rows: &[PlacedResult]) -> rusqlite::Result<()> {
        let mut rows: Vec<&PlacedResult> = rows.iter().collect();
        rows.sort_unstable_by_key(|row| (row.placement.table, row.result.user_id));
        for of_table in rows.chunk_by(|a, b| a.placement.table == b.placement.table) {
            let Some(table) = of_table.first().map(|row| row.placement.table) else { continue };
            let mut contradicted = Vec::new();
            {
                let mut insert = sql::Insert::into(&self.db, table)?;
                for PlacedResult { result, .. } in of_table {
                    if insert.add(result)? {
                        sql::hold(&self.db, table, result)?;
                        self.done.went_in(result);
                    } else {
                        contradicted.push(result);
                    }
                }
            }
            contradicted.into_iter().try_for_each(|result| self.find_out_why(table, result))?;
        }
        Ok(())
    }

    /// True if a row that did not go in is there already, whatever became of it.
    fn is_repeat(&self, table: TableId, result: &CouponResult) -> rusqlite::Result<bool> {
        let stored = sql::find(&self.db, table, result.result_id)?;
        Ok(stored.is_some_and(|stored| same_grab(&stored, result)))
    }

    /// A row did not go in: the same row again is a repeat, any other a contradiction, which is parked. It keeps its
    /// stock, and waits for a person.
    fn find_out_why(&mut self, table: TableId, result: &CouponResult) -> rusqlite::Result<()> {
        if self.is_repeat(table, result)? {
            return Ok(());
        }
        let reason = match sql::in_its_slot(&self.db, table, result)? {
            Some(id) => format!("the user holds this coupon as result {id}"),
            None => "another result is stored under this id".to_owned(),
        };
        self.park_one(table, result, &reason)
    }

    /// Parks a row that contradicts what is stored elsewhere.
    pub(super) fn park(&mut self, row: &PlacedResult, reason: &str) -> rusqlite::Result<()> {
        self.park_one(row.placement.table, &row.result, reason)
    }

    fn park_one(&mut self, table: TableId, result: &CouponResult, reason: &str) -> rusqlite::Result<()> {
        let id = result.result_id;
        tracing::error!(result_id = %id, %table, reason, "a result contradicts what is stored; it is parked");
        let parked = sql::park(&self.db, table, result, reason, self.now)?;
        self.done.newly_parked += u64::from(parked);
        self.done.parked.insert(id);
        Ok(())
    }

    /// Takes rows out of their table, to be moved elsewhere; notes how far that has come.
    pub(super) fn leave(&self, departure: &Departure, moves: ShardMoves) -> rusqlite::Result<()> {
        moves::leave(&self.db, departure)?;
        moves::set_state(&self.db, moves)
    }

    /// Stores rows that have left another place, with all that became of them. One that contradicts what is here stays where it
    /// was leaving, whole, and the batch has not arrived until it can.
    pub(super) fn arrive(
        &mut self,
        from: ShardId,
        batch: u64,
        rows: &[PlacedResult],
    ) -> rusqlite::Result<()> {
        let mut whole = true;
        for PlacedResult { placement, result } in rows {
            if moves::put(&self.db, placement.table, result)? {
                self.done.moved_in(result);
            } else {
                whole &= self.is_repeat(placement.table, result)?;
            }
        }
        if whole { moves::set_arrival(&self.db, from, batch) } else { Ok(()) }
    }

    /// Forgets what has left and arrived.
    pub(super) fn forget(&self) -> rusqlite::Result<()> {
        moves::forget(&self.db)
    }

    /// Notes how far moving rows has come here.
    pub(super) fn note_moves(&self, moves: ShardMoves) -> rusqlite::Result<()> {
        moves::set_state(&self.db, moves)
    }

    /// Notes for main which rows moved, and forgets what it has applied.
    pub(super) fn write_outbox(
        &mut self,
        shard: ShardId,
        id: i64,
        forget: Option<i64>,
    ) -> rusqlite::Result<()> {
        if self.done.moved.is_empty() {
            return Ok(());
        }
        let moved = |((coupon, movement), rows): (&(CouponId, Movement), &i64)| Moved {
            coupon: *coupon,
            movement: *movement,
            rows: *rows,
        };
        let deltas = self.done.moved.iter().map(moved).collect();
        let entry = ShardChanges { shard, id, deltas };
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (?1, ?2, ?3)")?;
        let deltas = serde_json::to_string(&entry.deltas)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        insert.execute(params![id, deltas, self.now.millis()])?;
        if let Some(applied) = forget {
            self.db.prepare_cached("DELETE FROM outbox WHERE outbox_id <= ?1")?.execute([applied])?;
        }
        self.done.entry = Some(entry);
        Ok(())
    }

    /// Notes for the room index which rows there are and what they have come to, and forgets what it has.
    pub(super) fn tell_index(&mut self, index: Option<&Telling>) -> rusqlite::Result<()> {
        let Some(index) = index else { return Ok(()) };
        // In this order: a row may have come and taken a step at once.
        let rows = self.done.added.iter().chain(&self.done.stepped);
        self.done.told = Some(index.write(&self.db, rows)?);
        Ok(())
    }

    /// Takes away rows that an archive retires, and notes for main what stock goes with them.
    pub(super) fn retire(&mut self, part: &TablePart) -> rusqlite::Result<()> {
        part.take_away(&self.db)?;
        for (coupon, rows) in part.live() {
            *self.done.moved.entry((coupon, Movement::Retired)).or_default() += rows;
        }
        Ok(())
    }

    /// Takes a step of a result, if its row allows it. A table that is not there has been archived.
    pub(super) fn change(
        &mut self,
        table: TableId,
        change: &Change,
        known: &HashSet<TableId>,
    ) -> rusqlite::Result<()> {
        if !known.contains(&table) && !self.done.new_tables.contains(&table) {
            self.done.changed.push(Changed::NotFound);
            return Ok(());
        }
        let changed = sql::change(&self.db, table, change)?;
        let row = sql::find(&self.db, table, change.id)?.filter(|row| row.user_id == change.user);
        if let (true, Some(row)) = (changed, &row) {
            if change.action.transition().from == ResultState::Held {
                sql::let_go(&self.db, row)?;
            }
            self.done.was_changed(change.action, row);
        }
        self.done.changed.push(match row {
            Some(row) if changed => Changed::Now(row),
            Some(row) => Changed::Stands(row),
            None => Changed::NotFound,
        });
        Ok(())
    }

    /// Lets the results expire that are due, at most so many. What is listed in no table that is there is struck off.
    pub(super) fn expire(&mut self, most: usize) -> rusqlite::Result<()> {
        let due = sql::due(&self.db, self.now, most)?;
        let there = if due.is_empty() { Vec::new() } else { sql::tables(&self.db)? };
        for of_table in due.chunk_by(|one, next| one.table == next.table) {
            let table = of_table.first().and_then(|due| due.table).filter(|table| there.contains(table));
            let Some(table) = table else {
                tracing::error!(
                    entries = of_table.len(),
                    "results are listed as held in a table that is not there"
                );
                continue;
            };
            let ids: Vec<ResultId> =
                of_table.iter().filter_map(|due| ResultId::from_number(due.number).ok()).collect();
            for row in sql::expire(&self.db, table, &ids, self.now)? {
                self.done.was_changed(Action::Expire, &row);
            }
        }
        due.iter().try_for_each(|due| sql::strike_off(&self.db, due.until, due.number))
    }
}

impl Done {
    /// A fresh row is in its table.
    fn went_in(&mut self, result: &CouponResult) {
        self.added.push(*result);
        *self.moved.entry((result.coupon_id, Movement::Stored)).or_default() += 1;
        self.moved_in(result);
    }

    /// A row of another place is in its table: its stock moves nowhere.
    fn moved_in(&mut self, result: &CouponResult) {
        self.totals += Totals::of(result);
        if result.state == ResultState::Held {
            let earlier = |until: Timestamp| self.next_due.map_or(until, |next| next.min(until));
            self.next_due = result.hold_until.map(earlier).or(self.next_due);
        }
    }

    /// A row has taken a step; `row` as it is now.
    fn was_changed(&mut self, action: Action, row: &CouponResult) {
        self.stepped.push(*row);
        if let Action::Use(order_amount) = action {
            self.totals += Totals { used: 1, order_amount, ..Totals::default() };
        }
        if let Some(movement) = action.transition().gives_back {
            self.totals.given_back += 1;
            *self.moved.entry((row.coupon_id, movement)).or_default() += 1;
            self.given_back.push(*row);
        }
    }
}

/// Makes one table of results, with its indexes.
pub(super) fn make_table(db: &Connection, table: TableId) -> rusqlite::Result<()> {
    let (create, indexes) = schema::results(Dialect::Sqlite, table);
    db.execute_batch(&create)?;
    indexes.iter().try_for_each(|index| db.execute_batch(index))
}

#[cfg(test)]
mod tests {
    use coupon_core::{Placement, RoomId, UserId};

    use super::*;
    use crate::statements;

    #[test]
    fn an_entry_of_no_table_that_is_there_stops_nothing_else_from_expiring() {
        let db = Connection::open_in_memory().unwrap();
        schema::shard(Dialect::Sqlite).iter().for_each(|sql| db.execute_batch(sql).unwrap());
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let (user, coupon, room) = (UserId::new(7), CouponId::new(8), RoomId::new(2));
        let id = ResultId::from_parts(noon, 1, 0).unwrap();
        let granted = CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap());
        let hold_until = Some(noon.plus_millis(1_000));
        let result = CouponResult { state: ResultState::Held, hold_until, ..granted };
        let placement = Placement::new(ShardId::new(0), TableId::Single);
        let mut store = Store::begin(&db, noon).unwrap();
        store.make_tables([placement.table].into_iter(), &HashSet::new()).unwrap();
        store.store(&[PlacedResult { placement, result }]).unwrap();
        store.commit().unwrap();
        for (number, name) in [(5, "no table"), (6, "coupon_results_p9"), (-1, "coupon_results")] {
            db.execute(statements::HOLD, params![noon.millis(), number, name]).unwrap();
        }
        let mut store = Store::begin(&db, noon.plus_millis(1_000)).unwrap();
        store.expire(10).unwrap();
        let done = store.commit().unwrap();
        assert_eq!(done.given_back.iter().map(|row| row.result_id).collect::<Vec<_>>(), [id]);
        assert_eq!(sql::next_due(&db).unwrap(), None);
    }
}
