//! The room index in a folder: a part of it in each shard's file, and the thread that carries entries there.

mod carrier;
mod making;
mod reads;
mod retiring;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponResult, ShardId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

pub(super) use carrier::{Carrier, Carriers, Source};
pub use making::{build, drop_index};
pub(super) use reads::FolderRooms;
pub(super) use retiring::{FIRST, RoomKey, next_to_retire, retire};

use super::bindings;
use super::writer::Writer;
use crate::Unavailable;
use crate::room_index::{self, IndexEntry, RoomPlaces, TABLES, WrittenEntries};
use crate::statements::COLUMNS;

/// The positions up to which a shard has written entries, and up to which the index has them.
#[derive(Debug)]
pub(super) struct IndexProgress {
    /// The last entry that is committed.
    last: AtomicI64,
    /// The last entry that each shard of the index has.
    taken: Vec<AtomicI64>,
}

/// A writer's part in keeping up the index: it writes the entries, and takes away those that the index has.
pub(super) struct Telling {
    places: RoomPlaces,
    pub(super) told: Arc<IndexProgress>,
    /// The last entry that was taken away here, for each shard of the index.
    forgotten: Vec<i64>,
}

impl Telling {
    /// Reads how far a shard has come.
    pub(super) fn read(db: &Connection, places: RoomPlaces) -> rusqlite::Result<Self> {
        let all: Vec<WrittenEntries> = places.all().map(|to| reached(db, to)).collect::<Result<_, _>>()?;
        let forgotten: Vec<i64> = all.iter().map(|reached| reached.forgotten).collect();
        let last = all.iter().map(|reached| reached.last).max().unwrap_or(0);
        let taken = forgotten.iter().copied().map(AtomicI64::new).collect();
        Ok(Self { places, told: Arc::new(IndexProgress { last: AtomicI64::new(last), taken }), forgotten })
    }

    /// Writes entries for the index about these rows, within a transaction, and takes away those that the index has.
    pub(super) fn write<'a>(
        &self,
        db: &Connection,
        rows: impl IntoIterator<Item = &'a CouponResult>,
    ) -> rusqlite::Result<IndexWrites> {
        let parts = self.places.parted(rows);
        let mut written = IndexWrites { last: self.told.last.load(Ordering::Relaxed), forgotten: Vec::new() };
        if parts.is_empty() {
            return Ok(written);
        }
        written.last += 1;
        let mut insert =
            db.prepare_cached("INSERT INTO room_entries (to_shard, entry_id, results) VALUES (?1, ?2, ?3)")?;
        for (to, rows) in &parts {
            let text = room_index::entry(rows)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            insert.execute(params![to.number(), written.last, text])?;
        }
        for ((to, taken), forgotten) in self.places.all().zip(&self.told.taken).zip(&self.forgotten) {
            let taken = taken.load(Ordering::Acquire);
            if taken > *forgotten {
                forget(db, to, taken)?;
            }
            written.forgotten.push(taken.max(*forgotten));
        }
        Ok(written)
    }

    /// Takes note that a transaction which wrote that is committed.
    pub(super) fn committed(&mut self, written: IndexWrites) {
        self.told.last.store(written.last, Ordering::Release);
        if !written.forgotten.is_empty() {
            self.forgotten = written.forgotten;
        }
    }
}

/// The writes of a transaction for the index.
pub(super) struct IndexWrites {
    last: i64,
    forgotten: Vec<i64>,
}

/// Makes a shard's tables for an index, unless they are there.
pub(super) fn make_tables(db: &Connection) -> rusqlite::Result<()> {
    schema::room_index(Dialect::Sqlite).iter().try_for_each(|sql| db.execute_batch(sql))
}

/// Takes them away.
fn drop_tables(db: &Connection) -> rusqlite::Result<()> {
    TABLES.iter().try_for_each(|table| db.execute_batch(&format!("DROP TABLE IF EXISTS {table}")))
}

/// The entries that a shard has written for a shard of the index.
fn reached(db: &Connection, to: ShardId) -> rusqlite::Result<WrittenEntries> {
    let last = |table| -> rusqlite::Result<i64> {
        db.prepare_cached(&format!("SELECT COALESCE(MAX(entry_id), 0) FROM {table} WHERE to_shard = ?1"))?
            .query_row([to.number()], |row| row.get(0))
    };
    let (forgotten, waiting) = (last("room_forgotten")?, last("room_entries")?);
    Ok(WrittenEntries { forgotten, last: forgotten.max(waiting) })
}

/// Takes entries for a shard of the index away, up to one of them.
fn forget(db: &Connection, to: ShardId, up_to: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM room_entries WHERE to_shard = ?1 AND entry_id <= ?2")?
        .execute(params![to.number(), up_to])?;
    db.prepare_cached("INSERT OR REPLACE INTO room_forgotten (to_shard, entry_id) VALUES (?1, ?2)")?
        .execute(params![to.number(), up_to])
        .map(drop)
}

/// The entry up to which a shard's part of the index has another shard's entries.
fn position(db: &Connection, from: ShardId) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT COALESCE(MAX(entry_id), 0) FROM room_positions WHERE shard = ?1")?
        .query_row([from.number()], |row| row.get(0))
}

/// Entries for a shard of the index above one of them, in their order, up to that one whose rows make them so many.
fn entries(db: &Connection, to: ShardId, above: i64, rows: usize) -> anyhow::Result<Vec<IndexEntry>> {
    let mut select = db.prepare_cached(
        "SELECT entry_id, results FROM room_entries WHERE to_shard = ?1 AND entry_id > ?2 ORDER BY entry_id",
    )?;
    let mut found = select.query(params![to.number(), above])?;
    let (mut entries, mut read) = (Vec::new(), 0);
    while read < rows
        && let Some(row) = found.next()?
    {
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        let rows = room_index::rows(&text)
            .map_err(|error| error.context(format!("entry {id} for the room index is damaged")))?;
        read += rows.len();
        entries.push(IndexEntry { id, rows });
    }
    Ok(entries)
}

/// The entries that a shard's part of the index takes in with one transaction.
#[derive(Debug, Default)]
pub(super) struct IndexDelivery {
    rows: Vec<CouponResult>,
    /// The positions up to which the index then has each shard's entries.
    positions: Vec<(ShardId, i64)>,
}

/// Takes rows into a shard's part of the index, in one transaction.
fn take_in(db: &Connection, delivery: &IndexDelivery, as_of: Timestamp) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    put(&transaction, &delivery.rows)?;
    let mut set = transaction.prepare_cached(
        "INSERT OR REPLACE INTO room_positions (shard, entry_id, as_of) VALUES (?1, ?2, ?3)",
    )?;
    for (shard, position) in &delivery.positions {
        set.execute(params![shard.number(), position, as_of.millis()])?;
    }
    drop(set);
    transaction.commit()
}

fn put(db: &Connection, rows: &[CouponResult]) -> rusqlite::Result<()> {
    let values = format!("({})", COLUMNS.map(|_| "?").join(", "));
    let mut put = db.prepare_cached(&room_index::put(Dialect::Sqlite, &values))?;
    rows.iter().try_for_each(|row| bindings::result(&mut put, row).map(drop))
}

impl Writer {
    /// Takes rows into this shard's part of the index.
    fn take_in(&self, delivery: &IndexDelivery, as_of: Timestamp) -> Result<(), Unavailable> {
        take_in(&self.db, delivery, as_of)
            .map_err(|error| Unavailable::new(format!("shard {}", self.shard), error))
    }
}
