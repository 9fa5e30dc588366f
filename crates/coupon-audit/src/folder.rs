//! A data folder, held still at one moment while it is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use coupon_core::{Placement, ShardId, TableId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::archives::Archives;
use super::books::Line;
use super::history::{History, Leaving, Moved, Movement, Version};
use super::ids::Ids;
use super::life::Life;
use super::source::{
    self, COPIED_LINES, COPYING, Catalogue, ChangedFrom, Coupon, EARLIER_FORMATS, Entry, Gate, Grab,
    KeptStock, Parked, Place, Rows, Shard, Snapshot, Spent, Stored, TOO_EARLY, Wanted, missing_keys,
    tables_of_results,
};
use super::{Label, inbox, room_index};

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

/// The files, each inside a read transaction.
struct Files {
    main: Connection,
    shards: Vec<Connection>,
}

/// Holds every file of a data folder still. Rows that are moved from one shard to another meanwhile tie the files together as
/// well: none has, if each file says the same of them before and after.
///
/// The files are separate databases, so their transactions cannot start at the same instant. What ties them
/// together are the outbox positions in the main file: if they are the same before and after the shards were
/// held, no entry moved from a shard to main in between, and all files tell of the same moment.
fn hold_still(folder: &Path) -> Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        let main = hold(&folder.join("main.sqlite"))?;
        ensure!(!EARLIER_FORMATS.contains(&&*complete(&main)?), TOO_EARLY);
        let (before, moved) = (positions(&main)?, moved(folder, &main)?);
        let shards = shards(folder, &main)?;
        let now = open(&folder.join("main.sqlite"))?;
        if before != positions(&now)? || moved != self::moved(folder, &now)? {
            std::thread::sleep(PAUSE);
            continue;
        }
        let position = |shard| before.get(&shard).copied().unwrap_or(0);
        let told = (0..).zip(&shards).map(|(number, file)| shard(number, file, position(number)));
        let told = told.collect::<Result<_>>()?;
        let (catalogue, users) = (catalogue(&main)?, users(&main)?);
        let earlier = source::earlier(&catalogue, changed(&main)?);
        let accepts_unknown_users = main.query_row(ChangedFrom::ACCEPTS_UNKNOWN, [], |row| row.get(0))?;
        let copied_lines = source::copied_lines(meta(&main, "meta", COPIED_LINES)?.as_deref())?;
        let archives = Archives::of(meta(&main, "meta", Archives::FROM)?.as_deref(), archived(&main)?)?;
        let indexed = room_index::shards(meta(&main, "meta", room_index::META)?.as_deref())?;
        let said = |name: &str| anyhow::Ok(meta(&main, "meta", name)?.unwrap_or_default());
        let (dataset, layout) = (said("dataset")?, said("layout")?);
        let (history, movement) = (History::of(versions(&main)?, layout), movement(&main)?);
        return Ok(Snapshot {
            dataset,
            history,
            movement,
            catalogue,
            earlier,
            users,
            accepts_unknown_users,
            copied_lines,
            archives,
            indexed,
            shards: told,
            rows: Box::new(Files { main, shards }),
        });
    }
    bail!("the service writes too much to hold the data still: drain it, and stop the load")
}

impl Files {
    fn of(&self, place: Placement) -> Result<&Connection> {
        self.shard(place.shard)
    }

    fn shard(&self, shard: ShardId) -> Result<&Connection> {
        self.shards.get(shard.index()).with_context(|| format!("there is no shard {shard}"))
    }

    fn each_of(&self, shard: ShardId, table: impl fmt::Display, row: &mut dyn FnMut(Stored)) -> Result<()> {
        let sql = format!("SELECT {}, {CENTS} FROM {table}", Stored::COLUMNS);
        let mut statement = self.shard(shard)?.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(next) = rows.next()? {
            row(stored(next)?);
        }
        Ok(())
    }
}

impl Rows for Files {
    fn each(&mut self, place: Placement, row: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(place.shard, place.table, row)
    }

    fn indexed(&mut self, shard: ShardId, row: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(shard, room_index::TABLE, row)
    }

    fn lines(&mut self, line: &mut dyn FnMut(Line)) -> Result<()> {
        let sql = format!("SELECT {} FROM stock_logs ORDER BY coupon_id, log_id", Line::COLUMNS);
        let mut statement = self.main.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            line(Line {
                id: row.get(0)?,
                coupon: row.get(1)?,
                operation: row.get(2)?,
                before: row.get(3)?,
                after: row.get(4)?,
                operator: row.get(5)?,
                shard: row.get(6)?,
                entry: row.get(7)?,
            });
        }
        Ok(())
    }

    fn find(&mut self, place: Placement, wanted: Wanted) -> Result<Vec<Grab>> {
        let (condition, parameters) = match wanted {
            Wanted::Result(id) => ("result_id = ?1", vec![id]),
            Wanted::Holding { user, coupon } => ("user_id = ?1 AND coupon_id = ?2", vec![user, coupon]),
        };
        let sql = format!("SELECT result_id, user_id, coupon_id FROM {} WHERE {condition}", place.table);
        let mut statement = self.of(place)?.prepare_cached(&sql)?;
        let found = statement.query_map(rusqlite::params_from_iter(parameters), grab)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn newest(&mut self, place: Placement) -> Result<Option<i64>> {
        let sql = format!("SELECT max(result_id) FROM {}", place.table);
        Ok(self.of(place)?.query_row(&sql, [], |row| row.get(0))?)
    }
}

/// An amount as SQLite holds it, which has no decimals, in cents.
const CENTS: &str = "CAST(ROUND(order_amount * 100) AS INTEGER)";

/// The columns of [`Stored`].
fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        grab: grab(row)?,
        room: row.get(3)?,
        time: row.get(4)?,
        granted: row.get(5)?,
        spent: Spent { status: row.get(6)?, time: row.get(7)?, cents: row.get(13)? },
        life: Life {
            state: row.get(8)?,
            slot: row.get(9)?,
            hold_until: row.get(10)?,
            state_time: row.get(11)?,
        },
        request: row.get(12)?,
    })
}

/// The columns `result_id, user_id, coupon_id`.
fn grab(row: &Row<'_>) -> rusqlite::Result<Grab> {
    Ok(Grab { id: row.get(0)?, user: row.get(1)?, coupon: row.get(2)? })
}

/// Reads the label of a data folder.
fn label(folder: &Path) -> Result<Label> {
    let main = open(&folder.join("main.sqlite"))?;
    complete(&main)?;
    let read = |name: &str| {
        meta(&main, "meta", name)?.with_context(|| format!("the main file does not tell its {name}"))
    };
    Ok(Label { dataset: read("dataset")?, layout: read("layout")?, shards: shard_count(&main)? })
}

/// The format of data that is complete.
fn complete(main: &Connection) -> Result<String> {
    let (format, copying) = (meta(main, "meta", "format")?, meta(main, "meta", COPYING)?);
    source::ensure_complete(format.as_deref(), copying.as_deref())?;
    Ok(format.unwrap_or_default())
}

fn shards(folder: &Path, main: &Connection) -> Result<Vec<Connection>> {
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
        shards.push(connection);
    }
    let extra = folder.join(format!("shard-{}.sqlite", shards.len()));
    ensure!(!extra.exists(), "{} is one shard more than the main file knows of", extra.display());
    Ok(shards)
}

/// Reads a shard's file, but for its rows.
fn shard(number: u16, file: &Connection, position: i64) -> Result<Shard> {
    let tables = tables(file)?;
    let inbox = inbox::read(file, &tables).with_context(|| format!("the inbox of shard {number}"))?;
    let (outbox, parked) = (outbox(file, position)?, parked(file)?);
    // A writer forgets what main has applied, but never its last entry.
    let last = file.query_row("SELECT COALESCE(MAX(outbox_id), 0) FROM outbox", [], |row| row.get(0))?;
    let mut unguarded = Vec::new();
    for table in &tables {
        unguarded.extend(missing_keys(&unique_keys(file, *table)?).map(|key| (*table, key)));
    }
    let (holds, leaving) = (holds(file)?, leaving(file, number)?);
    Ok(Shard {
        number,
        tables,
        inbox,
        position,
        outbox,
        last,
        parked,
        holds,
        leaving,
        counted: None,
        unguarded,
        stock: stock(file)?,
    })
}

/// The stock that a file keeps whose database decides grabs.
fn stock(file: &Connection) -> Result<Vec<KeptStock>> {
    if !file.table_exists(None, KeptStock::TABLE)? {
        return Ok(Vec::new());
    }
    let mut statement = file.prepare(&format!("SELECT {} FROM {}", KeptStock::COLUMNS, KeptStock::TABLE))?;
    let rows = statement
        .query_map([], |row| Ok(KeptStock { coupon: row.get(0)?, sold: row.get(1)?, untold: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The rows that have left their table.
fn leaving(file: &Connection, shard: u16) -> Result<Vec<Leaving>> {
    if !file.table_exists(None, Moved::TABLE)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {}, {CENTS}, {} FROM {}", Stored::COLUMNS, Leaving::MORE, Moved::TABLE);
    let mut statement = file.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut leaving = Vec::new();
    while let Some(row) = rows.next()? {
        let (from, to): (String, String) = (row.get(14)?, row.get(16)?);
        leaving.push(Leaving::new(stored(row)?, shard, (&from, row.get(15)?, &to))?);
    }
    Ok(leaving)
}

/// How far rows have moved from each shard and to it; nothing while no rows are moved.
fn moved(folder: &Path, main: &Connection) -> Result<(Option<Movement>, Vec<Moved>)> {
    let movement = movement(main)?;
    let mut moved = Vec::new();
    for number in 0..if movement.is_some_and(|movement| movement.runs) { shard_count(main)? } else { 0 } {
        let file = open(&folder.join(format!("shard-{number}.sqlite")))?;
        let (left, leaving) = file.query_row(Moved::LEFT, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement = file.prepare(Moved::ARRIVED)?;
        let arrived = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        moved.push(Moved { left, leaving, arrived: arrived.collect::<rusqlite::Result<_>>()? });
    }
    Ok((movement, moved))
}

fn movement(main: &Connection) -> Result<Option<Movement>> {
    if !main.table_exists(None, Movement::TABLE)? {
        return Ok(None);
    }
    let movement = main.query_row(Movement::SELECT, [], |row| {
        Ok(Movement { runs: row.get(0)?, began: row.get(1)?, done: (row.get(2)?, row.get(3)?) })
    });
    Ok(movement.optional()?)
}

fn versions(main: &Connection) -> Result<Vec<Version>> {
    if !main.table_exists(None, Version::TABLE)? {
        return Ok(Vec::new());
    }
    let mut statement = main.prepare(Version::SELECT)?;
    let versions = statement.query_map([], |row| {
        Ok(Version { from: row.get(0)?, layout: row.get(1)?, receives: row.get(2)?, closed: row.get(3)? })
    })?;
    Ok(versions.collect::<rusqlite::Result<_>>()?)
}

/// The columns of every key that keeps a table's rows apart.
fn unique_keys(file: &Connection, table: TableId) -> Result<Vec<Vec<String>>> {
    let names = |sql: &str, of: &str| -> rusqlite::Result<Vec<String>> {
        file.prepare(sql)?.query_map([of], |row| row.get(0))?.collect()
    };
    let table = table.to_string();
    let whole = "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial";
    let mut keys = Vec::new();
    for index in names(whole, &table)? {
        keys.push(names("SELECT name FROM pragma_index_info(?1) ORDER BY seqno", &index)?);
    }
    // SQLite makes no separate index for a key of one number.
    keys.push(names("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", &table)?);
    Ok(keys)
}

/// The entries of an outbox that lie beyond a position.
fn outbox(file: &Connection, position: i64) -> Result<Vec<Entry>> {
    let mut statement = file.prepare("SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?1")?;
    let entries =
        statement.query_map([position], |row| Ok(Entry { id: row.get(0)?, deltas: row.get(1)? }))?;
    Ok(entries.collect::<rusqlite::Result<_>>()?)
}

fn holds(file: &Connection) -> Result<Vec<(i64, i64)>> {
    let mut statement = file.prepare("SELECT hold_until, result_id FROM holds")?;
    let holds = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(holds.collect::<rusqlite::Result<_>>()?)
}

fn parked(file: &Connection) -> Result<Vec<Parked>> {
    let sql =
        "SELECT result_id, user_id, coupon_id, table_name, reason FROM parked_results ORDER BY result_id";
    let mut statement = file.prepare(sql)?;
    let parked = statement
        // There is no gate beside a folder that could hold it.
        .query_map([], |row| {
            Ok(Parked { grab: grab(row)?, slot: 0, table: row.get(3)?, reason: row.get(4)? })
        })?;
    Ok(parked.collect::<rusqlite::Result<_>>()?)
}

fn catalogue(main: &Connection) -> Result<Catalogue> {
    let rooms = main.table_exists(None, Coupon::ROOMS)?;
    let mut statement = main.prepare(&Coupon::select(rooms))?;
    let coupons = statement.query_map([], |row| {
        let coupon = Coupon {
            room: row.get(1)?,
            total: row.get(2)?,
            remaining: row.get(3)?,
            start: row.get(4)?,
            end: row.get(5)?,
            active: row.get(6)?,
            user_limit: row.get(7)?,
            taken_back: row.get(8)?,
        };
        Ok((row.get(0)?, coupon))
    })?;
    Ok(coupons.collect::<rusqlite::Result<_>>()?)
}

/// What coupons were before operators changed them.
fn changed(main: &Connection) -> Result<Vec<ChangedFrom>> {
    let mut statement = main.prepare(ChangedFrom::SELECT)?;
    let changed = statement.query_map([], |row| {
        Ok(ChangedFrom {
            coupon: row.get(0)?,
            total: row.get(1)?,
            start: row.get(2)?,
            end: row.get(3)?,
            active: row.get(4)?,
            user_limit: row.get(5)?,
        })
    })?;
    Ok(changed.collect::<rusqlite::Result<_>>()?)
}

/// The coupons that the record of changes names an archive of.
fn archived(main: &Connection) -> Result<Vec<i64>> {
    let mut statement = main.prepare(Archives::SELECT)?;
    let coupons = statement.query_map([], |row| row.get(0))?;
    Ok(coupons.collect::<rusqlite::Result<_>>()?)
}

fn users(main: &Connection) -> Result<Ids> {
    let mut statement = main.prepare("SELECT user_id FROM users ORDER BY user_id")?;
    let mut ids = Ids::default();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ids.push(row.get(0)?);
    }
    Ok(ids)
}

fn shard_count(main: &Connection) -> Result<u16> {
    let text = meta(main, "meta", "shards")?.context("the main file does not tell its number of shards")?;
    text.parse().with_context(|| format!("{text:?} is no number of shards"))
}

fn tables(connection: &Connection) -> Result<Vec<TableId>> {
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    tables_of_results(names.collect::<rusqlite::Result<Vec<_>>>()?)
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
