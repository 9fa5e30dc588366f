//! Fills a fresh data folder as fast as its disk allows, within bounded memory.
//!
//! Nothing is journalled or synced while it loads, and tables of results get their indexes last. That is safe
//! because the folder counts as incomplete from the first row until [`Bulk::finish`] has synced every file.
//!
//! A load that is to go on where it was cut short ([`BulkFilling::Resumable`]) keeps SQLite's log, and takes a row that is
//! there already for what it stored before.

mod lane;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use coupon_core::schema::{self, Dialect};
use coupon_core::{Coupon, CouponDetails, CouponResult, LiveRoom, Placement, ShardId, StockLog, User};
use rusqlite::{Connection, ffi};

use self::lane::Lane;
use super::bindings;
use super::folder::{Folder, FolderError};
use crate::BulkFilling;
use crate::carried::{CarriedRow, CarriedTable};

/// Page cache of all connections together, in KiB; sorting for an index takes as much again.
const CACHE_KIB: u32 = 96 * 1024;
/// The least part of the cache that is of use to a connection.
const LEAST_CACHE_KIB: u32 = 2 * 1024;

/// A bulk load under way. Dropping it leaves the folder incomplete.
#[derive(Debug)]
pub struct Bulk {
    /// Shared with the lanes, so that the lock outlives the last of them.
    folder: Arc<Folder>,
    main: Connection,
    lanes: BTreeMap<ShardId, Lane>,
    placements: HashSet<Placement>,
    indexed: Receiver<()>,
}

impl Bulk {
    /// Begins to load a folder that holds an empty data set, with one thread and connection a shard.
    ///
    /// # Errors
    /// [`FolderError`] when a file cannot be opened.
    pub fn new(folder: Folder) -> Result<Self, FolderError> {
        folder.mark_incomplete()?;
        Self::of(folder, BulkFilling::Once)
    }

    /// Begins to load a folder that is incomplete already, or goes on where an earlier load was cut short.
    ///
    /// # Errors
    /// [`FolderError`] when a file cannot be opened.
    pub fn resumable(folder: Folder) -> Result<Self, FolderError> {
        Self::of(folder, BulkFilling::Resumable)
    }

    fn of(folder: Folder, filling: BulkFilling) -> Result<Self, FolderError> {
        let path = folder.main_path();
        let failed = |error| FolderError::sqlite(&path, error);
        let cache = LEAST_CACHE_KIB.max(CACHE_KIB / (u32::from(folder.shards().get()) + 1));
        let main = folder.connect_main().map_err(failed)?;
        filling.prepare(&main, cache).map_err(failed)?;
        let folder = Arc::new(folder);
        let (index_made, indexed) = mpsc::channel();
        let lanes = start_lanes(&folder, (filling, cache), &index_made)?;
        Ok(Self { folder, main, lanes, placements: HashSet::new(), indexed })
    }

    /// Stores rows of a table of main as another data set has them.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn carried(&mut self, table: &CarriedTable, rows: &[CarriedRow]) -> Result<(), FolderError> {
        self.store(rows, &bindings::carried_sql(table), bindings::carried)
    }

    /// Stores users.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn users(&mut self, users: &[User]) -> Result<(), FolderError> {
        self.store(users, bindings::USER, bindings::user)
    }

    /// Stores rooms.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn rooms(&mut self, rooms: &[LiveRoom]) -> Result<(), FolderError> {
        self.store(rooms, bindings::ROOM, bindings::room)
    }

    /// Stores coupons.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn coupons(&mut self, coupons: &[Coupon]) -> Result<(), FolderError> {
        self.store(coupons, bindings::COUPON, bindings::coupon)
    }

    /// Stores the wide halves of coupons.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn details(&mut self, details: &[CouponDetails]) -> Result<(), FolderError> {
        self.store(details, bindings::DETAILS, bindings::details)
    }

    /// Stores stock logs.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses them.
    pub fn stock_logs(&mut self, logs: &[StockLog]) -> Result<(), FolderError> {
        self.store(logs, bindings::LOG, bindings::log)
    }

    /// Hands results to their shards' threads; waits when a shard is more than a few batches behind. Some
    /// thousands at a time, in the order of their ids, is what it does best.
    ///
    /// # Errors
    /// [`FolderError`] when a shard could not store an earlier batch, or there is no such shard.
    pub fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<(), FolderError> {
        let mut per_shard = BTreeMap::<ShardId, lane::BulkRows>::new();
        for (placement, row) in rows {
            self.placements.insert(placement);
            per_shard.entry(placement.shard).or_default().push((placement.table, row));
        }
        for (shard, rows) in per_shard {
            let gone = || FolderError::ShardMissing { path: self.folder.shard_path(shard) };
            if !self.lanes.get(&shard).ok_or_else(gone)?.send(rows) {
                let lane = self.lanes.remove(&shard).ok_or_else(gone)?;
                return Err(lane.end().err().unwrap_or_else(gone));
            }
        }
        Ok(())
    }

    /// Makes durable whatever was handed over so far, and notes in main how far that is.
    ///
    /// # Errors
    /// [`FolderError`] when a shard could not store an earlier batch, or main cannot be written.
    pub fn settle(&mut self, name: &str, reached: &str) -> Result<(), FolderError> {
        let (settled, told) = mpsc::channel();
        self.lanes.values().for_each(|lane| lane.settle(settled.clone()));
        drop(settled);
        // Ends when every lane has answered, or has given up and dropped its sender.
        let told = told.iter().count();
        if told < self.lanes.len() {
            let lanes = std::mem::take(&mut self.lanes);
            let ended = lanes.into_values().map(Lane::end).collect::<Result<Vec<_>, _>>();
            ended?;
            return Err(FolderError::ShardMissing { path: self.folder.dir().to_owned() });
        }
        settle(&self.main).map_err(|error| FolderError::sqlite(&self.folder.main_path(), error))?;
        self.folder.note(name, reached)
    }

    /// Makes the indexes, syncs every file, and only then marks the data set complete. Returns the rows of each shard. `progress`
    /// is called with the number of indexes that are made, and with the number of all.
    ///
    /// # Errors
    /// [`FolderError`] when anything could not be stored, two results of a user and a coupon in one table included.
    pub fn finish(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<u64>, FolderError> {
        let (folder, rows) = self.index(progress)?;
        folder.mark_complete()?;
        Ok(rows)
    }

    /// Makes the indexes and syncs every file. The data set stays incomplete. Returns it with the rows of each shard that
    /// this load was handed.
    ///
    /// # Errors
    /// As for [`Self::finish`].
    pub fn index(self, progress: &mut dyn FnMut(u64, u64)) -> Result<(Arc<Folder>, Vec<u64>), FolderError> {
        let Self { folder, main, lanes, placements, indexed, .. } = self;
        let indexes =
            |placement: &Placement| schema::results(Dialect::Sqlite, placement.table).1.len() as u64;
        let total = placements.iter().map(indexes).sum();
        lanes.values().for_each(Lane::no_more);
        progress(0, total);
        // Ends when the last lane does, and drops its sender.
        for (made, ()) in (1_u64..).zip(indexed.iter()) {
            progress(made, total.max(made));
        }
        let rows = lanes.into_values().map(Lane::end).collect::<Result<_, _>>()?;
        durable(main, &folder.main_path())?;
        Ok((folder, rows))
    }

    fn store<T>(
        &mut self,
        rows: &[T],
        sql: &str,
        insert: impl Fn(&mut rusqlite::Statement<'_>, &T) -> rusqlite::Result<usize>,
    ) -> Result<(), FolderError> {
        let mut all = || {
            let transaction = self.main.transaction()?;
            let mut statement = transaction.prepare_cached(sql)?;
            for row in rows {
                insert(&mut statement, row)?;
            }
            drop(statement);
            transaction.commit()
        };
        all().map_err(|error| FolderError::sqlite(&self.folder.main_path(), error))
    }
}

fn start_lanes(
    folder: &Arc<Folder>,
    how: (BulkFilling, u32),
    index_made: &Sender<()>,
) -> Result<BTreeMap<ShardId, Lane>, FolderError> {
    let shards = (0..folder.shards().get()).map(ShardId::new);
    shards.map(|shard| Ok((shard, Lane::start(folder, shard, how, index_made.clone())?))).collect()
}

impl BulkFilling {
    /// Prepares a file for it, with a page cache of that size.
    fn prepare(self, db: &Connection, cache_kib: u32) -> rusqlite::Result<()> {
        match self {
            // Trades safety for speed: a crash now may ruin the file.
            Self::Once => {
                db.pragma_update(None, "synchronous", "OFF")?;
                // Without this, every page would be written twice.
                db.pragma_update(None, "journal_mode", "OFF")?;
            }
            // A commit may be lost with the machine's power until it is settled, and ruins nothing.
            Self::Resumable => db.pragma_update(None, "synchronous", "NORMAL")?,
        }
        db.pragma_update(None, "cache_size", -i64::from(cache_kib))
    }
}

/// Makes what was committed survive a power failure: folding the log into the file syncs both.
fn settle(db: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
    if busy == 0 {
        return Ok(());
    }
    let why = "somebody else has the file open and keeps its log from being folded into it".to_owned();
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), Some(why)))
}

/// Makes what was written survive a power failure, and the file one to work with.
fn durable(db: Connection, path: &Path) -> Result<(), FolderError> {
    let failed = |error| FolderError::sqlite(path, error);
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    db.close().map_err(|(_, error)| failed(error))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| FolderError::io(path, error))
}

#[cfg(test)]
mod tests;
