//! Queries on a shard file's tables of results, and the rows they carry.

use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, GrabStatus, Money, RequestKey, ResultId, ResultQuery, ResultState, RoomId,
    TableId, Timestamp, UseStatus, UserId,
};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{CachedStatement, Connection, Row, params, params_from_iter};

use crate::statements::{self, Filter, Fresh, Numbers};
use crate::{Change, PageRequest, Summary, Totals};

const SQLITE: Dialect = Dialect::Sqlite;

/// Stores fresh results in one table.
pub(super) struct Insert<'a> {
    db: &'a Connection,
    table: TableId,
    plain: CachedStatement<'a>,
}

impl<'a> Insert<'a> {
    pub(super) fn into(db: &'a Connection, table: TableId) -> rusqlite::Result<Self> {
        Ok(Self { db, table, plain: prepare(db, table, Fresh::Plain)? })
    }

    /// Stores a fresh result, unless it contradicts one that is stored; says whether it went in.
    pub(super) fn add(&mut self, result: &CouponResult) -> rusqlite::Result<bool> {
        let CouponResult { result_id, user_id, coupon_id, room_id, grab_time, .. } = result;
        let (id, user, coupon, room) = (result_id.number(), user_id.get(), coupon_id.get(), room_id.get());
        let time = grab_time.millis();
        let changed = match Fresh::of(result) {
            Fresh::Plain => self.plain.execute(params![id, user, coupon, room, time])?,
            Fresh::Full => {
                let (state, slot) = (result.state.code(), result.slot);
                let hold_until = result.hold_until.map(Timestamp::millis);
                let request = result.request.map(RequestKey::number);
                prepare(self.db, self.table, Fresh::Full)?
                    .execute(params![id, user, coupon, room, time, state, slot, hold_until, request])?
            }
        };
        Ok(changed == 1)
    }
}

/// What is the same for every fresh result of a kind is not bound anew for each.
fn prepare(db: &Connection, table: TableId, kind: Fresh) -> rusqlite::Result<CachedStatement<'_>> {
    let values = match kind {
        Fresh::Plain => "?,?,?,?,?",
        Fresh::Full => "?,?,?,?,?,?,?,?,?",
    };
    let (insert, fresh) = (statements::insert(table, kind), statements::fresh());
    db.prepare_cached(&format!("{insert}({values}{fresh} {}", statements::unless_there(SQLITE)))
}

/// Keeps a result that contradicts what is stored; says whether it was not kept before.
pub(super) fn park(
    db: &Connection,
    table: TableId,
    result: &CouponResult,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let mut park = db.prepare_cached(&statements::park(SQLITE))?;
    let parked = park.execute(params![
        result.result_id.number(),
        result.user_id.get(),
        result.coupon_id.get(),
        result.room_id.get(),
        table.to_string(),
        reason,
        now.millis(),
    ])?;
    Ok(parked == 1)
}

/// The result with that id.
pub(super) fn find(db: &Connection, table: TableId, id: ResultId) -> rusqlite::Result<Option<CouponResult>> {
    let mut statement = db.prepare_cached(&statements::find(SQLITE, table, id, Numbers::Bound))?;
    let mut rows = statement.query_map([id.number()], result)?;
    rows.next().transpose()
}

/// The id under which a user has a coupon in the slot of this result, in this table.
pub(super) fn in_its_slot(
    db: &Connection,
    table: TableId,
    result: &CouponResult,
) -> rusqlite::Result<Option<ResultId>> {
    let sql = format!("SELECT result_id FROM {table} WHERE user_id = ?1 AND coupon_id = ?2 AND slot = ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let values = params![result.user_id.get(), result.coupon_id.get(), result.slot];
    let mut rows = statement.query_map(values, |row| parsed(row, 0, ResultId::from_number))?;
    rows.next().transpose()
}

/// The results a query covers, latest first.
pub(super) fn page(
    db: &Connection,
    table: TableId,
    query: &ResultQuery,
    page: PageRequest,
) -> rusqlite::Result<Vec<CouponResult>> {
    let (filter, limit) = (Filter::page(query, page), i64::try_from(page.limit).unwrap_or(i64::MAX));
    let sql = statements::page(SQLITE, table, &filter, limit, Numbers::Bound);
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(filter.numbers().chain([limit])), result)?;
    rows.collect()
}

/// The number of results a query covers, and the time of the latest.
pub(super) fn summary(db: &Connection, table: TableId, query: &ResultQuery) -> rusqlite::Result<Summary> {
    let filter = Filter::of(query);
    let mut statement = db.prepare_cached(&statements::summary(table, &filter, Numbers::Bound))?;
    statement.query_row(params_from_iter(filter.numbers()), |row| {
        let last: Option<i64> = row.get(1)?;
        Ok(Summary { results: count(row, 0)?, last_grab: last.map(Timestamp::from_millis) })
    })
}

/// Sums over a whole table.
pub(super) fn totals(db: &Connection, table: TableId) -> rusqlite::Result<Totals> {
    db.prepare_cached(&statements::totals(SQLITE, table))?.query_row([], |row| {
        Ok(Totals {
            results: count(row, 0)?,
            used: count(row, 1)?,
            order_amount: Money::from_cents(row.get(2)?),
            given_back: count(row, 3)?,
        })
    })
}

/// Takes a step of a result, if its row allows it; says whether it did.
pub(super) fn change(db: &Connection, table: TableId, change: &Change) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(&statements::change(table, change, Numbers::Bound))?;
    Ok(statement.execute(params_from_iter(statements::change_numbers(change)))? == 1)
}

/// Every (coupon, user, id) of a table, in no particular order. The index on user and coupon holds all three.
pub(super) fn holders(
    db: &Connection,
    table: TableId,
    mut each: impl FnMut(CouponId, UserId, ResultId),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT coupon_id, user_id, result_id FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(
            parsed(row, 0, CouponId::new)?,
            parsed(row, 1, UserId::new)?,
            parsed(row, 2, ResultId::from_number)?,
        );
    }
    Ok(())
}

/// The latest id of a table.
pub(super) fn latest(db: &Connection, table: TableId) -> rusqlite::Result<Option<ResultId>> {
    let id: Option<i64> =
        db.query_row(&format!("SELECT MAX(result_id) FROM {table}"), [], |row| row.get(0))?;
    Ok(id.and_then(|id| ResultId::from_number(id).ok()))
}

/// The tables of results that a shard's file holds, the latest first.
pub(super) fn tables(db: &Connection) -> rusqlite::Result<Vec<TableId>> {
    let mut statement = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    Ok(statements::latest_first(names.iter().filter_map(|name| TableId::parse(name))))
}

fn result(row: &Row<'_>) -> rusqlite::Result<CouponResult> {
    let (used, cents): (Option<i64>, Option<i64>) = (row.get(7)?, row.get(8)?);
    Ok(CouponResult {
        result_id: parsed(row, 0, ResultId::from_number)?,
        user_id: parsed(row, 1, UserId::new)?,
        coupon_id: parsed(row, 2, CouponId::new)?,
        room_id: parsed(row, 3, RoomId::new)?,
        grab_status: parsed(row, 4, GrabStatus::from_code)?,
        // Only grabs that got their coupon are stored.
        fail_reason: None,
        grab_time: Timestamp::from_millis(row.get(5)?),
        use_status: parsed(row, 6, UseStatus::from_code)?,
        use_time: used.map(Timestamp::from_millis),
        order_amount: cents.map(Money::from_cents),
        state: parsed(row, 9, ResultState::from_code)?,
        slot: row.get(10)?,
        hold_until: row.get::<_, Option<i64>>(11)?.map(Timestamp::from_millis),
        request: row.get::<_, Option<i64>>(12)?.and_then(RequestKey::from_number),
        state_time: row.get::<_, Option<i64>>(13)?.map(Timestamp::from_millis),
    })
}

/// A column as one of our own types; a value that cannot be one is the file's fault, and named.
pub(super) fn parsed<N, T, E>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(N) -> Result<T, E>,
) -> rusqlite::Result<T>
where
    N: rusqlite::types::FromSql,
    E: std::error::Error + Send + Sync + 'static,
{
    let number: N = row.get(column)?;
    parse(number).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            Type::Integer,
            Box::new(FromSqlError::Other(Box::new(error))),
        )
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
