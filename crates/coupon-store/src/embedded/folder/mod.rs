//! The data folder: `lock`, `main.sqlite`, `shard-0.sqlite` and so on, which belong together by a data set id.
//!
//! A folder is opened only as a whole and by one process at a time. The `format` row in main is written last
//! and says that the data set is complete: a folder without it is never mistaken for one.

mod connection;
mod copying;
mod error;
mod files;
mod meta;
mod update;

use std::fs::File;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use coupon_core::ShardId;
use coupon_core::schema::{self, Dialect};
use rusqlite::{Connection, OpenFlags};

pub(super) use self::connection::connect_reader;
use self::connection::{connect, make, query_only};
pub use self::error::{FolderError, LockHolder};
use self::meta::{MainMeta, MetaTable, check_is_empty, check_shard};
use crate::carried::COPYING;
use crate::ids::random_name;
use crate::room_index::{self, MakingProgress, RoomPlaces};

/// The version of the files' layout that this code writes, and the last it can read.
pub const FORMAT: u32 = 5;
/// The oldest version that it brings up to date when it opens a folder.
const OLDEST: u32 = 1;

/// A data folder held by this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    dataset: String,
    /// Of the first version of its layout, and of the latest.
    layouts: [String; 2],
    shards: NonZeroU16,
    /// The room index, if there is one.
    rooms: Option<RoomPlaces>,
    /// The lock lasts as long as the file is open.
    _lock: File,
}

impl Folder {
    /// Makes the folder, if need be, and an empty data set in it.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be written, is in use, or holds anything already.
    pub fn create(dir: &Path, layout: &str, shards: NonZeroU16) -> Result<Self, FolderError> {
        let lock = claim(dir)?;
        if Self::holds_data(dir) {
            return Err(FolderError::HoldsData { dir: dir.to_owned() });
        }
        Self::complete(dir, layout, shards, lock)
    }

    /// Replaces whatever data set the folder holds, if any, by an empty one, without letting go of it in between.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be written, is in use, or holds files that are no coupon data.
    pub fn replace(dir: &Path, layout: &str, shards: NonZeroU16) -> Result<Self, FolderError> {
        let lock = claim(dir)?;
        files::remove(dir)?;
        Self::complete(dir, layout, shards, lock)
    }

    /// Opens the folder as the given strategy's, which is that of the first or the latest version of its layout. Shards that it
    /// lacks of so many are made.
    ///
    /// # Errors
    /// [`FolderError`] when it is in use, incomplete, damaged, or laid out otherwise.
    pub fn open(dir: &Path, layout: &str, shards: NonZeroU16) -> Result<Self, FolderError> {
        let (folder, format) = Self::read(dir)?;
        if !folder.layouts.iter().any(|known| known == layout) {
            let [_, found] = folder.layouts;
            return Err(FolderError::OtherLayout { dir: dir.to_owned(), found, wanted: layout.to_owned() });
        }
        folder.up_to_date(format)?.prepared(shards)
    }

    /// Opens the folder whatever its layout: for work that needs no strategy.
    ///
    /// # Errors
    /// [`FolderError`] when it is in use, incomplete or damaged.
    pub fn open_any(dir: &Path) -> Result<Self, FolderError> {
        let (folder, format) = Self::read(dir)?;
        folder.up_to_date(format)
    }

    /// Opens the folder whatever its layout, and changes nothing of it: one of an earlier format is refused.
    ///
    /// # Errors
    /// [`FolderError`] when it is in use, incomplete, damaged, or of an earlier format.
    pub fn open_as_it_is(dir: &Path) -> Result<Self, FolderError> {
        match Self::read(dir)? {
            (folder, FORMAT) => Ok(folder),
            (_, found) => Err(FolderError::TooOld { dir: dir.to_owned(), found }),
        }
    }

    /// Reads what the folder is, and its format; nothing of it is changed.
    fn read(dir: &Path) -> Result<(Self, u32), FolderError> {
        let first_foreign = files::survey(dir)?;
        if !files::main(dir).exists() {
            return Err(match first_foreign {
                Some(file) => FolderError::Foreign { dir: dir.to_owned(), file },
                None => FolderError::NoData { dir: dir.to_owned() },
            });
        }
        let lock = files::lock(dir)?;
        files::keep_private(dir)?;
        let meta = MainMeta::read(dir)?;
        for number in 0..meta.shards.get() {
            check_shard(dir, ShardId::new(number), &meta.dataset)?;
        }
        for shard in files::shards(dir)?.into_iter().filter(|shard| shard.number() >= meta.shards.get()) {
            check_is_empty(dir, shard, meta.shards)?;
        }
        let MainMeta { format, dataset, layouts, shards, rooms } = meta;
        Ok((Self { dir: dir.to_owned(), dataset, layouts, shards, rooms, _lock: lock }, format))
    }

    /// Brings it up to date, if it is of an earlier format.
    fn up_to_date(self, format: u32) -> Result<Self, FolderError> {
        if format < FORMAT {
            update::run(&self)?;
            self.mark_complete()?;
        }
        Ok(self)
    }

    /// Makes the shards that it lacks of so many. Main says so last: what was cut short, which holds nothing, is begun anew.
    fn prepared(self, shards: NonZeroU16) -> Result<Self, FolderError> {
        if shards <= self.shards {
            return Ok(self);
        }
        for number in self.shards.get()..shards.get() {
            files::remove_database(&self.shard_path(ShardId::new(number)))?;
            self.make_shard(ShardId::new(number))?;
        }
        files::sync_dir(&self.dir)?;
        self.write_main("UPDATE meta SET value = ?1 WHERE name = 'shards'", [shards.to_string()])?;
        tracing::info!(dir = %self.dir.display(), before = self.shards, %shards, "further shards are prepared");
        Ok(Self { shards, ..self })
    }

    fn make_shard(&self, shard: ShardId) -> Result<(), FolderError> {
        let number = shard.to_string();
        let rows = [("dataset", &*self.dataset), ("shard", &*number)];
        let mut tables = schema::shard(Dialect::Sqlite);
        if self.rooms.is_some() {
            tables.extend(schema::room_index(Dialect::Sqlite));
        }
        make(&self.shard_path(shard), &tables, "shard_meta", &rows)
    }

    /// True if the folder holds a data set, or part of one.
    #[must_use]
    pub fn holds_data(dir: &Path) -> bool {
        files::names(dir).is_ok_and(|names| names.iter().any(|name| files::is_data(name)))
    }

    /// Removes the data set, and nothing else. The folder stays, and so does its lock file: were it removed, a
    /// process that had just opened it would hold a lock that no other can see.
    ///
    /// # Errors
    /// [`FolderError`] when it is in use or cannot be written.
    pub fn remove_data(dir: &Path) -> Result<(), FolderError> {
        let _lock = files::lock(dir)?;
        files::remove(dir)
    }

    /// The id that main and every shard share.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Its path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The latest layout of its strategy.
    #[must_use]
    pub fn layout(&self) -> &str {
        let [_, latest] = &self.layouts;
        latest
    }

    /// Its number of shards, whether or not the layout uses all of them.
    #[must_use]
    pub const fn shards(&self) -> NonZeroU16 {
        self.shards
    }

    /// The room index, if there is one.
    #[must_use]
    pub const fn room_index(&self) -> Option<RoomPlaces> {
        self.rooms
    }

    /// Says in main that there is this room index, or none, and that none is being made.
    pub(crate) fn with_room_index(self, rooms: Option<RoomPlaces>) -> Result<Self, FolderError> {
        match rooms {
            Some(rooms) => self.note(room_index::META, &rooms.shards().to_string())?,
            None => self.forget(room_index::META)?,
        }
        self.note_making(None)?;
        Ok(Self { rooms, ..self })
    }

    /// Notes in main how far a room index has come that is being made; or that rows have changed, so that none can go on.
    pub(crate) fn note_making(&self, making: Option<MakingProgress>) -> Result<(), FolderError> {
        match making {
            Some(making) => self.note(room_index::MAKING, &making.to_string()),
            None => self.forget(room_index::MAKING),
        }
    }

    /// The progress of a room index over all shards that was being made, if it can go on.
    pub(crate) fn making(&self) -> Result<Option<MakingProgress>, FolderError> {
        if self.rooms.is_some() {
            return Ok(None);
        }
        let noted = MetaTable::open(&self.main_path(), "meta")?.get(room_index::MAKING)?;
        Ok(MakingProgress::go_on(noted.as_deref(), RoomPlaces::over(self.shards), 0))
    }

    fn forget(&self, name: &str) -> Result<(), FolderError> {
        self.write_main("DELETE FROM meta WHERE name = ?1", [name])
    }

    /// The main database's file.
    #[must_use]
    pub fn main_path(&self) -> PathBuf {
        files::main(&self.dir)
    }

    /// A shard's file.
    #[must_use]
    pub fn shard_path(&self, shard: ShardId) -> PathBuf {
        files::shard(&self.dir, shard)
    }

    /// A connection to the main database whose commits survive a power failure.
    ///
    /// # Errors
    /// [`rusqlite::Error`] when SQLite refuses.
    pub fn connect_main(&self) -> rusqlite::Result<Connection> {
        connect(&self.main_path(), OpenFlags::empty())
    }

    /// A connection to a shard whose commits survive a power failure.
    ///
    /// # Errors
    /// [`rusqlite::Error`] when SQLite refuses.
    pub fn connect_shard(&self, shard: ShardId) -> rusqlite::Result<Connection> {
        connect(&self.shard_path(shard), OpenFlags::empty())
    }

    /// A connection to the main database that cannot write.
    ///
    /// # Errors
    /// [`rusqlite::Error`] when SQLite refuses.
    pub fn connect_main_reader(&self) -> rusqlite::Result<Connection> {
        query_only(self.connect_main()?)
    }

    /// A connection to a shard that cannot write.
    ///
    /// # Errors
    /// [`rusqlite::Error`] when SQLite refuses.
    pub fn connect_shard_reader(&self, shard: ShardId) -> rusqlite::Result<Connection> {
        connect_reader(&self.shard_path(shard))
    }

    /// Marks the data set incomplete: should this process end now, the folder will be refused.
    pub(crate) fn mark_incomplete(&self) -> Result<(), FolderError> {
        self.write_main("DELETE FROM meta WHERE name = ?1", ["format"])
    }

    /// Marks the data set complete.
    pub(crate) fn mark_complete(&self) -> Result<(), FolderError> {
        let row = ("format", FORMAT.to_string());
        self.write_main("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", row)?;
        files::sync_dir(&self.dir)
    }

    fn write_main(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), FolderError> {
        let written = self.connect_main().and_then(|main| main.execute(sql, params));
        written.map(drop).map_err(|error| FolderError::sqlite(&self.main_path(), error))
    }

    /// Writes an empty data set into a folder that holds none.
    fn complete(dir: &Path, layout: &str, shards: NonZeroU16, lock: File) -> Result<Self, FolderError> {
        let folder = Self::fill(dir, layout, shards, lock, None)?;
        folder.mark_complete()?;
        Ok(folder)
    }

    /// Does so, but for its format. From the first file on, one that is for a copy says of which data set.
    fn fill(
        dir: &Path,
        layout: &str,
        shards: NonZeroU16,
        lock: File,
        copy_of: Option<&str>,
    ) -> Result<Self, FolderError> {
        let (dataset, layouts) = (random_name(), [layout.to_owned(), layout.to_owned()]);
        let folder = Self { dir: dir.to_owned(), dataset, layouts, shards, rooms: None, _lock: lock };
        let shard_count = shards.to_string();
        let mut rows = vec![("dataset", &*folder.dataset), ("layout", layout), ("shards", &*shard_count)];
        rows.extend(copy_of.map(|source| (COPYING, source)));
        make(&folder.main_path(), &schema::catalogue(Dialect::Sqlite), "meta", &rows)?;
        update::first_layout(&folder)?;
        (0..shards.get()).map(ShardId::new).try_for_each(|shard| folder.make_shard(shard))?;
        Ok(folder)
    }
}

/// Makes sure that the folder exists and holds nothing foreign, then locks it.
fn claim(dir: &Path) -> Result<File, FolderError> {
    files::make_dir(dir)?;
    if let Some(file) = files::survey(dir)? {
        return Err(FolderError::Foreign { dir: dir.to_owned(), file });
    }
    files::lock(dir)
}

#[cfg(test)]
mod tests;
