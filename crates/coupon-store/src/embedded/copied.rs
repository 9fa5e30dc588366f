//! A folder's rows as a copy reads them: in the order of their keys, a few thousand at a time. Nothing of it is changed.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{CouponResult, Placement, ShardId};
use rusqlite::{Connection, OptionalExtension as _};

use super::folder::{Folder, FolderError};
use super::{books, sql};
use crate::carried::{CarriedRow, CarriedTable, PUT_BACK, Waits};

/// The page cache of each file that is read, in KiB: rows come in the order of the file.
const CACHE_KIB: i64 = 4 * 1024;

/// A folder that is read.
#[derive(Debug)]
pub struct Reader {
    folder: Arc<Folder>,
    main: Connection,
    /// By shard, in order.
    shards: Vec<Connection>,
}

impl Reader {
    /// Opens every file of the folder.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses.
    pub fn new(folder: Arc<Folder>) -> Result<Self, FolderError> {
        let smaller = |db: Connection| {
            db.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(db)
        };
        let path = folder.main_path();
        let main = folder.connect_main_reader().and_then(smaller);
        let main = main.map_err(|error| FolderError::sqlite(&path, error))?;
        let shard = |shard| {
            let opened = folder.connect_shard_reader(shard).and_then(smaller);
            opened.map_err(|error| FolderError::sqlite(&folder.shard_path(shard), error))
        };
        let shards = (0..folder.shards().get()).map(ShardId::new).map(shard).collect::<Result<_, _>>()?;
        Ok(Self { folder, main, shards })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The folder's path.
    #[must_use]
    pub fn place(&self) -> String {
        self.folder.dir().display().to_string()
    }

    /// Whatever is not at rest.
    ///
    /// # Errors
    /// When SQLite cannot read it.
    pub fn waits(&self) -> anyhow::Result<Vec<Waits>> {
        let mut waits = Vec::new();
        for (shard, db) in self.numbered() {
            let count = |sql: &str| count(db, sql).with_context(|| self.of_shard(shard));
            let inbox = count("SELECT COUNT(*) FROM inbox")?;
            waits.extend(Waits::of_shard(shard, inbox, "batches of results in its inbox"));
            let (position, _) =
                books::told_and_written(&self.main, db, shard).with_context(|| self.of_shard(shard))?;
            let untold = count(&format!("SELECT COUNT(*) FROM outbox WHERE outbox_id > {position}"))?;
            waits.extend(Waits::of_shard(shard, untold, "entries in its outbox that main has not applied"));
            let leaving = count("SELECT COUNT(*) FROM leaving")?;
            waits.extend(Waits::of_shard(
                shard,
                leaving,
                "results that are on their way to another shard or table",
            ));
            waits.extend(Waits::parked_results(shard, count("SELECT COUNT(*) FROM parked_results")?));
        }
        waits.extend(Waits::parked_deltas(count(&self.main, "SELECT COUNT(*) FROM parked_deltas")?));
        Ok(waits)
    }

    /// The number of rows of a table of main's.
    ///
    /// # Errors
    /// When SQLite cannot read it.
    pub fn count_carried(&self, table: &CarriedTable) -> anyhow::Result<u64> {
        self.main_failed(count(&self.main, &format!("SELECT COUNT(*) FROM {}", table.name)))
    }

    /// The next rows of a table of main's behind a key.
    ///
    /// # Errors
    /// When SQLite cannot read them.
    pub fn carried(&self, table: &CarriedTable, after: i64, most: usize) -> anyhow::Result<Vec<CarriedRow>> {
        let read = || {
            let mut statement = self.main.prepare_cached(&table.select(sql::SQLITE))?;
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = statement.query_map([after, limit], |row| {
                table.row(|column| row.get(column), |column| row.get(column))
            })?;
            rows.collect()
        };
        self.main_failed(read()).with_context(|| format!("the rows of {}", table.name))
    }

    /// True if main says that it was put back once.
    ///
    /// # Errors
    /// When SQLite cannot read it.
    pub fn was_put_back(&self) -> anyhow::Result<bool> {
        let sql = "SELECT COUNT(*) FROM meta WHERE name = ?1";
        let said: rusqlite::Result<i64> = self.main.query_row(sql, [PUT_BACK], |row| row.get(0));
        Ok(self.main_failed(said)? > 0)
    }

    /// Every table of results.
    ///
    /// # Errors
    /// When SQLite cannot read their names.
    pub fn places(&self) -> anyhow::Result<Vec<Placement>> {
        let mut places = Vec::new();
        for (shard, db) in self.numbered() {
            let tables = sql::tables(db).with_context(|| self.of_shard(shard))?;
            places.extend(tables.into_iter().rev().map(|table| Placement::new(shard, table)));
        }
        Ok(places)
    }

    /// The number of rows of a table of results.
    ///
    /// # Errors
    /// When there is no such table, or SQLite cannot read it.
    pub fn count(&self, at: Placement) -> anyhow::Result<u64> {
        let counted = count(self.shard(at)?, &format!("SELECT COUNT(*) FROM {}", at.table));
        counted.with_context(|| self.of_shard(at.shard))
    }

    /// The least id of a table of results, if it has rows.
    ///
    /// # Errors
    /// As for [`Self::count`].
    pub fn first(&self, at: Placement) -> anyhow::Result<Option<i64>> {
        let sql = format!("SELECT result_id FROM {} ORDER BY result_id LIMIT 1", at.table);
        let first = self.shard(at)?.query_row(&sql, [], |row| row.get(0)).optional();
        first.with_context(|| self.of_shard(at.shard))
    }

    /// The next rows of a table of results behind an id.
    ///
    /// # Errors
    /// As for [`Self::count`].
    pub fn results(&self, at: Placement, after: i64, most: usize) -> anyhow::Result<Vec<CouponResult>> {
        let rows = sql::behind(self.shard(at)?, at.table, after, most);
        rows.with_context(|| format!("{}: {}", self.of_shard(at.shard), at.table))
    }

    fn numbered(&self) -> impl Iterator<Item = (ShardId, &Connection)> {
        (0..).map(ShardId::new).zip(&self.shards)
    }

    fn shard(&self, at: Placement) -> anyhow::Result<&Connection> {
        self.shards.get(at.shard.index()).with_context(|| format!("there is no shard {}", at.shard))
    }

    fn of_shard(&self, shard: ShardId) -> String {
        format!("cannot read {}", self.folder.shard_path(shard).display())
    }

    fn main_failed<T>(&self, read: rusqlite::Result<T>) -> anyhow::Result<T> {
        read.with_context(|| format!("cannot read {}", self.folder.main_path().display()))
    }
}

fn count(db: &Connection, sql: &str) -> rusqlite::Result<u64> {
    db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
