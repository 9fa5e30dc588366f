//! Everything but rows, read with the auditor's own SQL.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use coupon_core::TableId;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row, from_row_opt};

use super::engine::Part;
use super::rows::{CENTS, get, stored};
use super::{Positions, Recorded};
use crate::Label;
use crate::archives::{Archived, Archives};
use crate::history::{Leaving, Moved, Movement, Version};
use crate::ids::Ids;
use crate::kept::KeptStock;
use crate::room_index;
use crate::source::{
    self, COPIED_LINES, COPYING, Catalogue, ChangedFrom, Coupon, EARLIER_FORMATS, Entry, Grab, Parked, Shard,
    Stored, Sums, TOO_EARLY, missing_keys, tables_of_results,
};

/// Reads main's account of its data set.
pub(super) async fn label(main: &mut Conn) -> Result<Label> {
    let meta: Vec<(String, String)> = main.query("SELECT name, value FROM meta").await?;
    let found = |wanted: &str| meta.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
    source::ensure_complete(found("format"), found(COPYING))?;
    let said = |wanted: &str| {
        found(wanted).map(str::to_owned).with_context(|| format!("it does not tell its {wanted}"))
    };
    let shards = said("shards")?;
    let shards = shards.parse().with_context(|| format!("{shards:?} is no number of shards"))?;
    Ok(Label { dataset: said("dataset")?, layout: said("layout")?, shards })
}

/// The server of each shard, as main has recorded it; none in data of before.
pub(super) async fn recorded(main: &mut Conn) -> Result<Recorded> {
    if !has(&tables(main).await?, "shard_places") {
        return Ok(Recorded::new());
    }
    let rows: Vec<(u16, u16)> = main.query("SELECT shard, server FROM shard_places").await?;
    Ok(rows.into_iter().collect())
}

/// The address of the gate that was filled last, as main has recorded it.
pub(super) async fn gate_address(main: &mut Conn) -> Result<Option<String>> {
    if !has(&tables(main).await?, "gate_record") {
        return Ok(None);
    }
    Ok(main.query_first("SELECT address FROM gate_record").await?)
}

/// Refuses a data set that lacks what is read here.
pub(super) async fn refuse_earlier(main: &mut Conn) -> Result<()> {
    let format: Option<String> = main.query_first("SELECT value FROM meta WHERE name = 'format'").await?;
    ensure!(format.is_none_or(|format| !EARLIER_FORMATS.contains(&&*format)), TOO_EARLY);
    Ok(())
}

/// The last line of the stock log that came with a copy of another data set; 0 where none did.
pub(super) async fn copied_lines(main: &mut Conn) -> Result<i64> {
    let said: Option<String> =
        main.exec_first("SELECT value FROM meta WHERE name = ?", (COPIED_LINES,)).await?;
    source::copied_lines(said.as_deref())
}

/// The archives that the record of changes names.
pub(super) async fn archives(main: &mut Conn) -> Result<Archives> {
    let from: Option<String> =
        main.exec_first("SELECT value FROM meta WHERE name = ?", (Archives::FROM,)).await?;
    let lines: Vec<(Option<i64>, i64, String)> = main.query(Archives::SELECT).await?;
    Archives::of(
        from.as_deref(),
        lines.into_iter().map(|(coupon, time, what)| Archived { coupon, time, what }),
    )
}

/// The number of shards that a room index is kept on, if there is one.
pub(super) async fn indexed(main: &mut Conn) -> Result<Option<u16>> {
    let sql = "SELECT value FROM meta WHERE name = ?";
    let said: Option<String> = main.exec_first(sql, (room_index::META,)).await?;
    room_index::shards(said.as_deref())
}

pub(super) async fn positions(main: &mut Conn) -> Result<Positions> {
    let rows: Vec<(u16, i64)> = main.query("SELECT shard, outbox_id FROM outbox_positions").await?;
    Ok(rows.into_iter().collect())
}

pub(super) async fn catalogue(main: &mut Conn) -> Result<Catalogue> {
    type Columns = (i64, i64, i64, i64, i64, i64, bool, i64, i64);
    let rooms = tables(main).await?.iter().any(|name| name == Coupon::ROOMS);
    let rows: Vec<Columns> = main.query(Coupon::select(rooms)).await?;
    let coupon = |(id, room, total, remaining, start, end, active, user_limit, taken_back)| {
        (id, Coupon { room, total, remaining, start, end, active, user_limit, taken_back })
    };
    Ok(rows.into_iter().map(coupon).collect())
}

/// The terms that coupons had before operators changed them.
pub(super) async fn changed(main: &mut Conn) -> Result<Vec<ChangedFrom>> {
    let rows: Vec<(i64, i64, i64, i64, bool, i64)> = main.query(ChangedFrom::SELECT).await?;
    let changed = |(coupon, total, start, end, active, user_limit)| ChangedFrom {
        coupon,
        total,
        start,
        end,
        active,
        user_limit,
    };
    Ok(rows.into_iter().map(changed).collect())
}

pub(super) async fn accepts_unknown_users(main: &mut Conn) -> Result<bool> {
    Ok(main.query_first(ChangedFrom::ACCEPTS_UNKNOWN).await?.unwrap_or(false))
}

pub(super) async fn users(main: &mut Conn) -> Result<Ids> {
    let mut ids = Ids::default();
    let mut rows = main.exec_iter("SELECT user_id FROM users ORDER BY user_id", ()).await?;
    while let Some(row) = rows.next().await? {
        let (id,) = from_row_opt(row)?;
        ids.push(id);
    }
    Ok(ids)
}

/// The names of all tables, sorted.
pub(super) async fn tables(connection: &mut Conn) -> Result<Vec<String>> {
    let mut names: Vec<String> = connection.query("SHOW TABLES").await?;
    names.sort_unstable();
    Ok(names)
}

/// Refuses a shard that belongs to other data, in whichever of its two places it says so.
pub(super) async fn check_dataset(
    connection: &mut Conn,
    part: &Part,
    number: u16,
    dataset: &str,
) -> Result<()> {
    let meta = format!("SELECT name, value FROM shard_meta WHERE {part}");
    let meta: Vec<(String, String)> = connection.query(meta).await?;
    for (wanted, right) in [("dataset", dataset), ("shard", &number.to_string())] {
        let theirs = meta.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        ensure!(theirs == Some(right), "shard_meta says {wanted} {theirs:?}, and main {right:?}");
    }
    let state = format!("SELECT dataset FROM shard_state WHERE {part}");
    let state: Option<String> = connection.query_first(state).await?;
    ensure!(state.as_deref() == Some(dataset), "shard_state says dataset {state:?}, and main {dataset:?}");
    Ok(())
}

/// Reads a shard, but for its rows.
pub(super) async fn shard(
    connection: &mut Conn,
    part: &Part,
    number: u16,
    tables: Vec<String>,
    position: i64,
) -> Result<Shard> {
    let leaving = if has(&tables, Moved::TABLE) { leaving(connection, number).await? } else { Vec::new() };
    let stock = if has(&tables, KeptStock::TABLE) { Some(stock(connection).await?) } else { None };
    let tables: Vec<TableId> = tables_of_results(tables)?;
    let outbox = format!("SELECT outbox_id, deltas FROM outbox WHERE {part} AND outbox_id > ?");
    let outbox: Vec<(i64, String)> = connection.exec(outbox, (position,)).await?;
    let parked = parked(connection, part).await?;
    let holds = format!("SELECT hold_until, result_id FROM holds WHERE {part}");
    let holds: Vec<(i64, i64)> = connection.query(holds).await?;
    let (counted, last) = state(connection, part).await?;
    let unguarded = unguarded(connection, &tables).await?;
    Ok(Shard {
        number,
        tables,
        inbox: Vec::new(),
        position,
        outbox: outbox.into_iter().map(|(id, deltas)| Entry { id, deltas }).collect(),
        last,
        parked,
        holds,
        leaving,
        counted,
        unguarded,
        stock,
    })
}

/// The stock that a database keeps which decides grabs.
async fn stock(connection: &mut Conn) -> Result<Vec<KeptStock>> {
    let sql = format!("SELECT {} FROM {}", KeptStock::COLUMNS, KeptStock::TABLE);
    let rows: Vec<(i64, i64, i64, i64, i64, i64)> = connection.query(sql).await?;
    Ok(rows.into_iter().map(|row| KeptStock::of(row.into())).collect())
}

/// The results that were set aside. Data that no service of today has opened yet does not say in which slots.
async fn parked(shard: &mut Conn, part: &Part) -> Result<Vec<Parked>> {
    let columns: Vec<Row> = shard.query("SHOW COLUMNS FROM parked_results").await?;
    let columns: Vec<String> = columns.iter().map(|column| get(column, 0)).collect::<Result<_>>()?;
    let has_slot = columns.iter().any(|column| column == "slot");
    let slot = if has_slot { "COALESCE(slot, 0)" } else { "0" };
    let sql = format!(
        "SELECT result_id, user_id, coupon_id, {slot}, table_name, reason FROM parked_results WHERE {part} \
         ORDER BY result_id"
    );
    let rows: Vec<(i64, i64, i64, u8, String, String)> = shard.query(sql).await?;
    let parked = |(id, user, coupon, slot, table, reason)| Parked {
        grab: Grab { id, user, coupon },
        slot,
        table,
        reason,
    };
    Ok(rows.into_iter().map(parked).collect())
}

/// The rows that have left their table.
async fn leaving(connection: &mut Conn, shard: u16) -> Result<Vec<Leaving>> {
    let sql = format!("SELECT {}, {CENTS}, {} FROM {}", Stored::COLUMNS, Leaving::MORE, Moved::TABLE);
    let rows: Vec<Row> = connection.exec(sql, ()).await?;
    let leaving = rows.iter().map(|row| {
        let (from, to_shard, to): (String, u16, String) = (get(row, 14)?, get(row, 15)?, get(row, 16)?);
        Leaving::new(stored(row)?, shard, (&from, to_shard, &to))
    });
    leaving.collect()
}

/// A shard's movement so far, from it and to it.
pub(super) async fn moved(shard: &mut Conn) -> Result<Moved> {
    let (left, leaving) = shard.query_first(Moved::LEFT).await?.unwrap_or_default();
    Ok(Moved { left, leaving, arrived: shard.query(Moved::ARRIVED).await? })
}

pub(super) async fn movement(main: &mut Conn) -> Result<Option<Movement>> {
    if !has(&tables(main).await?, Movement::TABLE) {
        return Ok(None);
    }
    let movement: Option<(bool, i64, i64, i64)> = main.query_first(Movement::SELECT).await?;
    Ok(movement.map(|(runs, began, looked_at, moved)| Movement { runs, began, done: (looked_at, moved) }))
}

/// The versions of the layout; none in data of before.
pub(super) async fn versions(main: &mut Conn) -> Result<Vec<Version>> {
    if !has(&tables(main).await?, Version::TABLE) {
        return Ok(Vec::new());
    }
    let versions: Vec<(i64, String, bool, bool)> = main.query(Version::SELECT).await?;
    let version = |(from, layout, receives, closed)| Version { from, layout, receives, closed };
    Ok(versions.into_iter().map(version).collect())
}

pub(super) fn has(tables: &[String], table: &str) -> bool {
    tables.iter().any(|name| name == table)
}

/// A shard's own sums, and the last entry of its outbox.
pub(super) async fn state(shard: &mut Conn, part: &Part) -> Result<(Option<Sums>, i64)> {
    let sql = format!(
        "SELECT results, used, CAST(order_amount * 100 AS SIGNED), given_back, outbox_id FROM shard_state WHERE {part}"
    );
    let state: Option<(i64, i64, i64, i64, i64)> = shard.query_first(sql).await?;
    let sums = state.map(|(results, used, cents, given_back, _)| Sums { results, used, cents, given_back });
    Ok((sums, state.map_or(0, |(.., last)| last)))
}

/// The tables of results that lack a key.
async fn unguarded(shard: &mut Conn, tables: &[TableId]) -> Result<Vec<(TableId, &'static str)>> {
    let mut missing = Vec::new();
    for table in tables {
        // Its columns: the table, whether a value may be there more than once, the key, the place in it, and the column.
        let rows: Vec<Row> = shard.query(format!("SHOW INDEX FROM {table}")).await?;
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            if get::<i64>(row, 1)? == 0 {
                keys.entry(get(row, 2)?).or_default().push(get(row, 4)?);
            }
        }
        let keys: Vec<Vec<String>> = keys.into_values().collect();
        missing.extend(missing_keys(&keys).map(|key| (*table, key)));
    }
    Ok(missing)
}
