//! A folder that a copy of another data set is made in. It is incomplete until the copy was verified, and says so by
//! name, so that a copy that was cut short goes on and nothing else is done with it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::Path;

use coupon_core::ShardId;
use rusqlite::Connection;

use super::meta::{BegunCopy, MetaTable, check_shard};
use super::{FORMAT, Folder, FolderError, claim, files, update};
use crate::carried::COPYING;

impl Folder {
    /// Makes an empty data set that is to become a copy of the one with the id `source`, or opens what an earlier run of
    /// the same copy has made of it. It stays incomplete until [`Folder::complete_copy`].
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be written, is in use, or holds anything but that.
    pub fn begin_copy(
        dir: &Path,
        layout: &str,
        shards: NonZeroU16,
        source: &str,
    ) -> Result<Self, FolderError> {
        let lock = claim(dir)?;
        if holds_nothing(dir)? {
            files::remove(dir)?;
            return Self::fill(dir, layout, shards, lock, Some(source));
        }
        let Some(found) = BegunCopy::read(dir)? else { return Err(not_for_copy(dir)) };
        if (&*found.source, &*found.layout, found.shards) != (source, layout, shards.get()) {
            return Err(FolderError::OtherCopy {
                dir: dir.to_owned(),
                source_id: found.source,
                layout: found.layout,
            });
        }
        let mut ids = (0..shards.get()).map(ShardId::new);
        match ids.try_for_each(|shard| check_shard(dir, shard, &found.dataset)) {
            Ok(()) => {}
            Err(error) if found.has_begun => return Err(error),
            Err(_) => {
                // It was cut short while its files were made: no row is in it yet.
                files::remove(dir)?;
                return Self::fill(dir, layout, shards, lock, Some(source));
            }
        }
        let (dataset, layouts) = (found.dataset, [layout.to_owned(), layout.to_owned()]);
        let folder = Self { dir: dir.to_owned(), dataset, layouts, shards, rooms: None, _lock: lock };
        // An earlier version may have begun it.
        update::add_columns(&folder)?;
        Ok(folder)
    }

    /// Removes what a copy has made here that was cut short, and nothing else.
    ///
    /// # Errors
    /// [`FolderError`] when it is in use, cannot be written, or holds another data set.
    pub fn remove_copy(dir: &Path) -> Result<(), FolderError> {
        let _lock = claim(dir)?;
        if Self::holds_data(dir) && BegunCopy::read(dir)?.is_none() {
            return Err(not_for_copy(dir));
        }
        files::remove(dir)
    }

    /// The notes of main's label under names that begin so.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite cannot read it.
    pub fn notes(&self, prefix: &str) -> Result<BTreeMap<String, String>, FolderError> {
        let read = || -> rusqlite::Result<BTreeMap<String, String>> {
            let main = self.connect_main()?;
            let mut statement = main.prepare("SELECT name, value FROM meta WHERE name LIKE ?1 || '%'")?;
            let notes = statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
            notes.collect()
        };
        read().map_err(|error| FolderError::sqlite(&self.main_path(), error))
    }

    /// Notes something in main's label.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses.
    pub fn note(&self, name: &str, value: &str) -> Result<(), FolderError> {
        self.write_main("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value])
    }

    /// Makes the copy a data set, in one transaction: what it noted on its way goes, and what is to stay known comes.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite refuses.
    pub fn complete_copy(&self, notes: &[(&str, String)]) -> Result<(), FolderError> {
        let write = || {
            let mut main = self.connect_main()?;
            let transaction = main.transaction()?;
            transaction.execute("DELETE FROM meta WHERE name LIKE ?1 || '%'", [COPYING])?;
            let format = ("format", FORMAT.to_string());
            for (name, value) in notes.iter().chain([&format]) {
                transaction
                    .execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", (name, value))?;
            }
            transaction.commit()
        };
        write().map_err(|error| FolderError::sqlite(&self.main_path(), error))?;
        files::sync_dir(&self.dir)
    }
}

/// The fault of a folder that holds something else than a copy which was cut short.
fn not_for_copy(dir: &Path) -> FolderError {
    let main = files::main(dir);
    let label = || -> Result<Option<String>, FolderError> {
        let meta = MetaTable::open(&main, "meta")?;
        let layout = match meta.layouts()? {
            Some([_, latest]) => Some(latest),
            None => meta.get("layout")?,
        };
        let said =
            |(dataset, layout): (String, String)| format!("data set {dataset}, laid out as \"{layout}\"");
        Ok(meta.get("dataset")?.zip(layout).map(said))
    };
    let there = label().ok().flatten().unwrap_or_else(|| "part of a data set".to_owned());
    FolderError::NotForCopy { dir: dir.to_owned(), there }
}

/// True if there is no data, but perhaps a main that was made for some and never written into.
fn holds_nothing(dir: &Path) -> Result<bool, FolderError> {
    let main = files::main(dir);
    let data: Vec<String> = files::names(dir)?.into_iter().filter(|name| files::is_data(name)).collect();
    let alone = data.iter().all(|name| name.starts_with(files::MAIN));
    let tables = |db: Connection| -> rusqlite::Result<i64> {
        db.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))
    };
    let blank = || Connection::open(&main).and_then(tables).is_ok_and(|tables| tables == 0);
    Ok(data.is_empty() || (alone && blank()))
}
