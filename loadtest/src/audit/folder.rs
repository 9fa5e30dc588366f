//! A data folder, held still at one moment while it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::inbox::{self, Waiting};
use anyhow::{Context, Result, bail, ensure};
use coupon_core::TableId;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

/// How often a snapshot is tried again while a service keeps applying outboxes.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Every file of a data folder, each inside a read transaction.
pub(super) struct Snapshot {
    pub(super) main: Connection,
    pub(super) shards: Vec<Shard>,
    /// How far each shard's outbox has been applied.
    pub(super) positions: BTreeMap<u16, i64>,
}

/// One shard's file.
pub(super) struct Shard {
    pub(super) number: u16,
    pub(super) connection: Connection,
    pub(super) tables: Vec<TableId>,
    /// Results that are stored, but not in their tables yet.
    pub(super) inbox: Vec<Waiting>,
}

impl Snapshot {
    /// Holds every file still.
    ///
    /// The files are separate databases, so their transactions cannot start at the same instant. What ties them
    /// together are the outbox positions in the main file: if they are the same before and after the shards were
    /// held, no entry moved from a shard to main in between, and all files tell of the same moment.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let main = hold(&folder.join("main.sqlite"))?;
            let before = positions(&main)?;
            let shards = shards(folder, &main)?;
            let after = positions(&open(&folder.join("main.sqlite"))?)?;
            if before == after {
                return Ok(Self { main, shards, positions: before });
            }
            std::thread::sleep(PAUSE);
        }
        bail!("the service writes too much to hold the data still: drain it, and stop the load")
    }

    /// Where the rows of a user and a coupon are, for a description.
    pub(super) fn holdings(&self, user: i64, coupon: i64) -> Result<Vec<String>> {
        self.find("user_id = ?1 AND coupon_id = ?2", (user, coupon))
    }

    /// Where the rows with an id are, for a description.
    pub(super) fn copies(&self, result: i64) -> Result<Vec<String>> {
        self.find("result_id = ?1", (result,))
    }

    fn find(&self, condition: &str, parameters: impl rusqlite::Params + Copy) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            for table in &shard.tables {
                let sql = format!("SELECT result_id, user_id, coupon_id FROM {table} WHERE {condition}");
                let mut statement = shard.connection.prepare_cached(&sql)?;
                let mut rows = statement.query(parameters)?;
                while let Some(row) = rows.next()? {
                    let (id, user, coupon): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    let number = shard.number;
                    found.push(format!(
                        "result {id} of user {user}, coupon {coupon} (shard {number}, table {table})"
                    ));
                }
            }
        }
        Ok(found)
    }
}

/// The largest `result_id` stored in a data folder; `None` when it holds no results.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest_result(folder: &Path) -> Result<Option<i64>> {
    let snapshot = Snapshot::open(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut newest = None;
    for shard in &snapshot.shards {
        newest = newest.max(shard.inbox.last().map(|waiting| waiting.id));
        for table in &shard.tables {
            let sql = format!("SELECT max(result_id) FROM {table}");
            newest = newest.max(shard.connection.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))?);
        }
    }
    Ok(newest)
}

/// What the main file of a data folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The data set's id.
    pub dataset: String,
    /// Every parameter that decides where a row lives.
    pub layout: String,
    /// How many shards.
    pub shards: u16,
}

/// Reads the label of a data folder.
///
/// # Errors
/// When the folder cannot be read or is no data folder.
pub fn label(folder: &Path) -> Result<Label> {
    let main = open(&folder.join("main.sqlite"))?;
    let read = |name: &str| {
        meta(&main, "meta", name)?.with_context(|| format!("the main file does not tell its {name}"))
    };
    Ok(Label { dataset: read("dataset")?, layout: read("layout")?, shards: shard_count(&main)? })
}

fn shards(folder: &Path, main: &Connection) -> Result<Vec<Shard>> {
    let dataset = meta(main, "meta", "dataset")?;
    let mut shards = Vec::new();
    for number in 0..shard_count(main)? {
        let path = folder.join(format!("shard-{number}.sqlite"));
        let connection = hold(&path)?;
        let theirs = meta(&connection, "shard_meta", "dataset")?;
        ensure!(
            theirs == dataset,
            "{} belongs to data set {theirs:?}, the main file to {dataset:?}",
            path.display()
        );
        let tables = tables(&connection)?;
        let inbox = inbox::read(&connection, &tables)
            .with_context(|| format!("cannot read the inbox of {}", path.display()))?;
        shards.push(Shard { number, connection, tables, inbox });
    }
    let extra = folder.join(format!("shard-{}.sqlite", shards.len()));
    ensure!(!extra.exists(), "{} is one shard more than the main file knows of", extra.display());
    Ok(shards)
}

fn shard_count(main: &Connection) -> Result<u16> {
    let text = meta(main, "meta", "shards")?.context("the main file does not tell its number of shards")?;
    text.parse().with_context(|| format!("{text:?} is no number of shards"))
}

fn tables(connection: &Connection) -> Result<Vec<TableId>> {
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut tables = Vec::new();
    for name in names {
        let name = name?;
        let table = TableId::parse(&name);
        // Rows in a table that no reader knows by name are rows that nobody will find.
        let stray = table.is_none() && name.starts_with(TableId::PREFIX);
        ensure!(!stray, "{name} looks like a table of results, but is not named like one");
        tables.extend(table);
    }
    Ok(tables)
}

fn positions(main: &Connection) -> Result<BTreeMap<u16, i64>> {
    let mut statement = main.prepare("SELECT shard, outbox_id FROM outbox_positions")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn meta(connection: &Connection, table: &str, name: &str) -> Result<Option<String>> {
    let sql = format!("SELECT value FROM {table} WHERE name = ?1");
    Ok(connection.query_row(&sql, [name], |row| row.get(0)).optional()?)
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
