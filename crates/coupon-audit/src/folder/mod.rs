//! A data folder, held still at one moment while it is read.

mod inbox;
mod read;
mod rows;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::{Connection, OpenFlags};

use self::rows::Files;
use crate::archives::Archives;
use crate::history::{History, Moved, Movement};
use crate::source::{
    self, COPIED_LINES, ChangedFrom, EARLIER_FORMATS, Gate, Place, Shard, Snapshot, TOO_EARLY,
};
use crate::{Label, room_index};

/// Attempts at a snapshot while a service keeps applying outboxes.
const ATTEMPTS: u32 = 200;
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(5);

/// A data folder.
pub(super) struct Folder<'a>(pub(super) &'a Path);

impl Place for Folder<'_> {
    fn label(&self) -> Result<Label> {
        label(self.0)
    }

    fn hold_still(&self) -> Result<(Snapshot, Option<Box<dyn Gate + '_>>)> {
        Ok((hold_still(self.0)?, None))
    }
}

impl fmt::Display for Folder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Holds every file of a data folder still. Rows that are moved from one shard to another meanwhile tie the files together as
/// well: none has, if each file says the same of them before and after.
///
/// The files are separate databases, so their transactions cannot start at the same instant. What ties them
/// together are the outbox positions in the main file: if they are the same before and after the shards were
/// held, no entry moved from a shard to main in between, and all files show the same moment.
fn hold_still(folder: &Path) -> Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        let main = hold(&folder.join("main.sqlite"))?;
        ensure!(!EARLIER_FORMATS.contains(&&*read::complete(&main)?), TOO_EARLY);
        let (before, moved_before) = (read::positions(&main)?, moved(folder, &main)?);
        let shards = shards(folder, &main)?;
        let now = open(&folder.join("main.sqlite"))?;
        if before != read::positions(&now)? || moved_before != moved(folder, &now)? {
            std::thread::sleep(PAUSE);
            continue;
        }
        let position = |shard| before.get(&shard).copied().unwrap_or(0);
        let told = (0..).zip(&shards).map(|(number, file)| read::shard(number, file, position(number)));
        let told = told.collect::<Result<_>>()?;
        return snapshot(main, shards, told);
    }
    bail!("the service writes too much to hold the data still: drain it, and stop the load")
}

/// The snapshot of files that are held still: main is read here, the shards have been.
fn snapshot(main: Connection, files: Vec<Connection>, shards: Vec<Shard>) -> Result<Snapshot> {
    let said = |name: &str| read::meta(&main, "meta", name);
    let catalogue = read::catalogue(&main)?;
    let earlier = source::earlier(&catalogue, read::changed(&main)?);
    Ok(Snapshot {
        dataset: said("dataset")?.unwrap_or_default(),
        history: History::of(read::versions(&main)?, said("layout")?.unwrap_or_default()),
        movement: read::movement(&main)?,
        catalogue,
        earlier,
        users: read::users(&main)?,
        accepts_unknown_users: main.query_row(ChangedFrom::ACCEPTS_UNKNOWN, [], |row| row.get(0))?,
        copied_lines: source::copied_lines(said(COPIED_LINES)?.as_deref())?,
        archives: Archives::of(said(Archives::FROM)?.as_deref(), read::archived(&main)?)?,
        indexed: room_index::shards(said(room_index::META)?.as_deref())?,
        shards,
        rows: Box::new(Files { main, shards: files }),
    })
}

/// Reads the label of a data folder.
fn label(folder: &Path) -> Result<Label> {
    let main = open(&folder.join("main.sqlite"))?;
    read::complete(&main)?;
    let said = |name: &str| {
        read::meta(&main, "meta", name)?.with_context(|| format!("the main file does not tell its {name}"))
    };
    Ok(Label { dataset: said("dataset")?, layout: said("layout")?, shards: read::shard_count(&main)? })
}

fn shards(folder: &Path, main: &Connection) -> Result<Vec<Connection>> {
    let dataset = read::meta(main, "meta", "dataset")?;
    let mut shards = Vec::new();
    for number in 0..read::shard_count(main)? {
        let path = folder.join(format!("shard-{number}.sqlite"));
        let connection = hold(&path)?;
        let theirs = read::meta(&connection, "shard_meta", "dataset")?;
        ensure!(
            theirs == dataset,
            "{} belongs to data set {theirs:?}, the main file to {dataset:?}",
            path.display()
        );
        shards.push(connection);
    }
    let extra = folder.join(format!("shard-{}.sqlite", shards.len()));
    ensure!(!extra.exists(), "{} is one shard more than the main file knows of", extra.display());
    Ok(shards)
}

/// The counts of rows that have moved from each shard and to it; nothing where none ever were. What has left a shard arrives also
/// after a movement was stopped.
fn moved(folder: &Path, main: &Connection) -> Result<(Option<Movement>, Vec<Moved>)> {
    let movement = read::movement(main)?;
    let mut moved = Vec::new();
    for number in 0..if movement.is_some() { read::shard_count(main)? } else { 0 } {
        let file = open(&folder.join(format!("shard-{number}.sqlite")))?;
        let (left, leaving) = file.query_row(Moved::LEFT, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let arrived = read::all(&file, Moved::ARRIVED, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        moved.push(Moved { left, leaving, arrived });
    }
    Ok((movement, moved))
}

fn open(path: &PathBuf) -> Result<Connection> {
    // SQLite would only say that it cannot open it.
    std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .with_context(|| format!("cannot open {}", path.display()))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Opens a file and starts a transaction in it; the first read fixes what it sees.
fn hold(path: &PathBuf) -> Result<Connection> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN")?;
    let read = "SELECT count(*) FROM sqlite_master";
    connection.query_row(read, [], |_| Ok(())).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(connection)
}
