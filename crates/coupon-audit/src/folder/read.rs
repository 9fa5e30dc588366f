//! Reads a folder's files: everything but the rows, which are too many.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use coupon_core::TableId;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::inbox;
use super::rows::{CENTS, grab, stored};
use crate::archives::{Archived, Archives};
use crate::history::{Leaving, Moved, Movement, Version};
use crate::ids::Ids;
use crate::kept::KeptStock;
use crate::source::{
    self, COPYING, Catalogue, ChangedFrom, Coupon, Entry, Parked, Shard, Stored, missing_keys,
    tables_of_results,
};

/// All rows of a question.
pub(super) fn all<T, Rows: FromIterator<T>>(
    file: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Rows> {
    let mut statement = file.prepare(sql)?;
    let rows = statement.query_map(values, read)?;
    Ok(rows.collect::<rusqlite::Result<Rows>>()?)
}

/// The format of data that is complete.
pub(super) fn complete(main: &Connection) -> Result<String> {
    let (format, copying) = (meta(main, "meta", "format")?, meta(main, "meta", COPYING)?);
    source::ensure_complete(format.as_deref(), copying.as_deref())?;
    Ok(format.unwrap_or_default())
}

pub(super) fn shard_count(main: &Connection) -> Result<u16> {
    let text = meta(main, "meta", "shards")?.context("the main file does not tell its number of shards")?;
    text.parse().with_context(|| format!("{text:?} is no number of shards"))
}

pub(super) fn meta(connection: &Connection, table: &str, name: &str) -> Result<Option<String>> {
    let sql = format!("SELECT value FROM {table} WHERE name = ?1");
    Ok(connection.query_row(&sql, [name], |row| row.get(0)).optional()?)
}

pub(super) fn positions(main: &Connection) -> Result<BTreeMap<u16, i64>> {
    let sql = "SELECT shard, outbox_id FROM outbox_positions";
    all(main, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn catalogue(main: &Connection) -> Result<Catalogue> {
    let rooms = main.table_exists(None, Coupon::ROOMS)?;
    all(main, &Coupon::select(rooms), [], |row| {
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
    })
}

/// The terms that coupons had before operators changed them.
pub(super) fn changed(main: &Connection) -> Result<Vec<ChangedFrom>> {
    all(main, ChangedFrom::SELECT, [], |row| {
        Ok(ChangedFrom {
            coupon: row.get(0)?,
            total: row.get(1)?,
            start: row.get(2)?,
            end: row.get(3)?,
            active: row.get(4)?,
            user_limit: row.get(5)?,
        })
    })
}

/// The archives that the record of changes names.
pub(super) fn archived(main: &Connection) -> Result<Vec<Archived>> {
    all(main, Archives::SELECT, [], |row| {
        Ok(Archived { coupon: row.get(0)?, time: row.get(1)?, what: row.get(2)? })
    })
}

pub(super) fn users(main: &Connection) -> Result<Ids> {
    let mut statement = main.prepare("SELECT user_id FROM users ORDER BY user_id")?;
    let mut ids = Ids::default();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ids.push(row.get(0)?);
    }
    Ok(ids)
}

pub(super) fn versions(main: &Connection) -> Result<Vec<Version>> {
    if !main.table_exists(None, Version::TABLE)? {
        return Ok(Vec::new());
    }
    all(main, Version::SELECT, [], |row| {
        Ok(Version { from: row.get(0)?, layout: row.get(1)?, receives: row.get(2)?, closed: row.get(3)? })
    })
}

pub(super) fn movement(main: &Connection) -> Result<Option<Movement>> {
    if !main.table_exists(None, Movement::TABLE)? {
        return Ok(None);
    }
    let movement = main.query_row(Movement::SELECT, [], |row| {
        Ok(Movement { runs: row.get(0)?, began: row.get(1)?, done: (row.get(2)?, row.get(3)?) })
    });
    Ok(movement.optional()?)
}

/// Reads a shard's file, but for its rows.
pub(super) fn shard(number: u16, file: &Connection, position: i64) -> Result<Shard> {
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
fn stock(file: &Connection) -> Result<Option<Vec<KeptStock>>> {
    if !file.table_exists(None, KeptStock::TABLE)? {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM {}", KeptStock::COLUMNS, KeptStock::TABLE);
    let stock = all(file, &sql, [], |row| {
        let columns = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        Ok(KeptStock::of(columns))
    });
    stock.map(Some)
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
    let sql = "SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?1";
    all(file, sql, [position], |row| Ok(Entry { id: row.get(0)?, deltas: row.get(1)? }))
}

fn holds(file: &Connection) -> Result<Vec<(i64, i64)>> {
    let sql = "SELECT hold_until, result_id FROM holds";
    all(file, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn parked(file: &Connection) -> Result<Vec<Parked>> {
    let sql =
        "SELECT result_id, user_id, coupon_id, table_name, reason FROM parked_results ORDER BY result_id";
    // There is no gate beside a folder that could hold it.
    all(file, sql, [], |row| {
        Ok(Parked { grab: grab(row)?, slot: 0, table: row.get(3)?, reason: row.get(4)? })
    })
}

fn tables(connection: &Connection) -> Result<Vec<TableId>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let names: Vec<String> = all(connection, sql, [], |row| row.get::<_, String>(0))?;
    tables_of_results(names)
}
