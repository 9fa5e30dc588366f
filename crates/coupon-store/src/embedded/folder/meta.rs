//! The label in each file of a folder, which names the data set that the file belongs to.

use std::fs;
use std::num::NonZeroU16;
use std::path::Path;

use coupon_core::{ShardId, TableId};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::connection::connect;
use super::{FORMAT, FolderError, OLDEST, files};
use crate::carried::COPYING;
use crate::embedded::sql;
use crate::room_index::{self, RoomPlaces};
use crate::statements::LEAVING;

/// Main's label of the data set.
pub(super) struct MainMeta {
    pub(super) format: u32,
    pub(super) dataset: String,
    pub(super) layouts: [String; 2],
    pub(super) shards: NonZeroU16,
    pub(super) rooms: Option<RoomPlaces>,
}

impl MainMeta {
    pub(super) fn read(dir: &Path) -> Result<Self, FolderError> {
        let path = files::main(dir);
        let meta = MetaTable::open(&path, "meta")?;
        if let Some(BegunCopy { source, .. }) = BegunCopy::of(&meta)? {
            return Err(FolderError::Copying { dir: dir.to_owned(), source_id: source });
        }
        let incomplete = || FolderError::Incomplete { dir: dir.to_owned() };
        let damaged = |detail: &str| FolderError::Damaged { path: path.clone(), detail: detail.to_owned() };
        let format = meta.get("format")?.ok_or_else(incomplete)?;
        let format = match format.parse::<u32>() {
            Ok(format @ OLDEST..=FORMAT) => format,
            Ok(found) if found > FORMAT => {
                return Err(FolderError::TooNew { dir: dir.to_owned(), found, known: FORMAT });
            }
            _ => return Err(damaged("its format is no version")),
        };
        let need = |name: &str| meta.get(name)?.ok_or_else(|| damaged(&format!("it names no {name}")));
        let shards = need("shards")?.parse().map_err(|_| damaged("its number of shards is none"))?;
        let first = need("layout")?;
        let layouts = meta.layouts()?.unwrap_or_else(|| [first.clone(), first]);
        let rooms = meta.get(room_index::META)?;
        let rooms = rooms.map(|value| RoomPlaces::read(&value)).transpose();
        let rooms = rooms.map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { format, dataset: need("dataset")?, layouts, shards, rooms })
    }
}

/// A copy that was begun in a folder, by the folder's label.
pub(super) struct BegunCopy {
    pub(super) source: String,
    pub(super) dataset: String,
    pub(super) layout: String,
    pub(super) shards: u16,
    /// True once it has noted how far it is: from then on there may be rows.
    pub(super) has_begun: bool,
}

impl BegunCopy {
    /// None where no copy is under way.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, FolderError> {
        let path = files::main(dir);
        if !path.exists() {
            return Ok(None);
        }
        let meta = MetaTable::open(&path, "meta")?;
        Self::of(&meta)
    }

    fn of(meta: &MetaTable<'_>) -> Result<Option<Self>, FolderError> {
        let (None, Some(source)) = (meta.get("format")?, meta.get(COPYING)?) else { return Ok(None) };
        let said = |name| Ok::<_, FolderError>(meta.get(name)?.unwrap_or_default());
        let shards = said("shards")?.parse().unwrap_or(0);
        let has_begun = meta.has_any(&format!("{COPYING}."))?;
        Ok(Some(Self { source, dataset: said("dataset")?, layout: said("layout")?, shards, has_begun }))
    }
}

pub(super) fn check_shard(dir: &Path, shard: ShardId, dataset: &str) -> Result<(), FolderError> {
    let path = files::shard(dir, shard);
    if !path.exists() {
        return Err(FolderError::ShardMissing { path });
    }
    let meta = MetaTable::open(&path, "shard_meta")?;
    let say = |dataset: &str, number: &str| format!("shard {number} of data set {dataset}");
    let found_dataset = meta.get("dataset")?.unwrap_or_else(|| "unknown".to_owned());
    let found_number = meta.get("shard")?.unwrap_or_else(|| "unknown".to_owned());
    let (found, wanted) = (say(&found_dataset, &found_number), say(dataset, &shard.to_string()));
    if found == wanted { Ok(()) } else { Err(FolderError::ShardOfAnother { path, found, wanted }) }
}

/// Refuses the file of a shard that main does not know, unless it is what is left of one that was being made.
pub(super) fn check_is_empty(dir: &Path, shard: ShardId, known: NonZeroU16) -> Result<(), FolderError> {
    let path = files::shard(dir, shard);
    let holds_data = || -> rusqlite::Result<bool> {
        let db = connect(&path, OpenFlags::empty())?;
        let others = ["inbox", "outbox", "parked_results", LEAVING].map(str::to_owned);
        for table in sql::tables(&db)?.iter().map(TableId::to_string).chain(others) {
            let any = format!("SELECT EXISTS (SELECT 1 FROM {table})");
            if db.table_exists(None, table.as_str())? && db.query_row(&any, [], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match holds_data() {
        Ok(false) => Ok(()),
        Ok(true) => Err(FolderError::BeyondMain { path, shard, known }),
        // Not even its first page was written.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(()),
        Err(error) => Err(FolderError::sqlite(&path, error)),
    }
}

/// The table of names and values that every file of a data set has.
pub(super) struct MetaTable<'a> {
    db: Connection,
    path: &'a Path,
    table: &'static str,
}

impl<'a> MetaTable<'a> {
    pub(super) fn open(path: &'a Path, table: &'static str) -> Result<Self, FolderError> {
        // A plain open only finds out whether SQLite likes the file at the first read.
        fs::File::open(path).map_err(|error| FolderError::io(path, error))?;
        let db = connect(path, OpenFlags::empty()).map_err(|error| FolderError::sqlite(path, error))?;
        Ok(Self { db, path, table })
    }

    /// The first layout, and the latest; `None` in a data set of before.
    pub(super) fn layouts(&self) -> Result<Option<[String; 2]>, FolderError> {
        let read = || {
            if !self.db.table_exists(None, "layouts")? {
                return Ok(None);
            }
            let sql = "SELECT layout FROM layouts ORDER BY version";
            let mut select = self.db.prepare(sql)?;
            let lines = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            Ok(lines.first().zip(lines.last()).map(|(first, last)| [first.clone(), last.clone()]))
        };
        read().map_err(|error| FolderError::sqlite(self.path, error))
    }

    /// True if there is a row whose name begins so.
    pub(super) fn has_any(&self, prefix: &str) -> Result<bool, FolderError> {
        let read = || {
            if !self.db.table_exists(None, self.table)? {
                return Ok(false);
            }
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE name LIKE ?1 || '%')", self.table);
            self.db.query_row(&sql, [prefix], |row| row.get(0))
        };
        read().map_err(|error| FolderError::sqlite(self.path, error))
    }

    /// A value, or `None` when there is no such row, or not even the table.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>, FolderError> {
        let read = || {
            if !self.db.table_exists(None, self.table)? {
                return Ok(None);
            }
            let sql = format!("SELECT value FROM {} WHERE name = ?1", self.table);
            self.db.query_row(&sql, [name], |row| row.get(0)).optional()
        };
        read().map_err(|error| FolderError::sqlite(self.path, error))
    }
}
