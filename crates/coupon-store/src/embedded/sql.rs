//! Queries on a shard file's tables of results, and the rows they carry.

use std::fmt::Display;

use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, GrabStatus, Money, RequestKey, ResultId, ResultQuery, ResultState, RoomId,
    TableId, Timestamp, UseStatus, UserId,
};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{CachedStatement, Connection, Row, params, params_from_iter};

use crate::statements::{self, Filter, Fresh, Numbers};
use crate::stock::{self, Mine, remembered_since};
use crate::{Attempt, Change, PageRequest, Reservation, ResultSummary, Totals};

pub(super) const SQLITE: Dialect = Dialect::Sqlite;

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

/// The insert of fresh results of a kind: columns that are the same for all of them are not bound anew for each.
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
        result.slot,
        result.request.map(RequestKey::number),
        result.hold_until.map(Timestamp::millis),
    ])?;
    Ok(parked == 1)
}

/// An entry of the list of what is held that is due: the moment, the result's number, and its table, if the name is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) until: Timestamp,
    pub(super) number: i64,
    pub(super) table: Option<TableId>,
}

/// Notes a fresh result that is held, so that it is found when it is due; of any other, nothing.
pub(super) fn hold(db: &Connection, table: TableId, result: &CouponResult) -> rusqlite::Result<()> {
    let (ResultState::Held, Some(until)) = (result.state, result.hold_until) else { return Ok(()) };
    let mut statement = db.prepare_cached(statements::HOLD)?;
    statement.execute(params![until.millis(), result.result_id.number(), table.to_string()]).map(drop)
}

/// Strikes off a result that is not held any more.
pub(super) fn let_go(db: &Connection, result: &CouponResult) -> rusqlite::Result<()> {
    result.hold_until.map_or(Ok(()), |until| strike_off(db, until, result.result_id.number()))
}

/// Strikes off a result, by its number, under the moment until which it was held.
pub(super) fn strike_off(db: &Connection, until: Timestamp, number: i64) -> rusqlite::Result<()> {
    db.prepare_cached(statements::LET_GO)?.execute([until.millis(), number]).map(drop)
}

/// The moment at which the next result is due.
pub(super) fn next_due(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let next: Option<i64> =
        db.prepare_cached("SELECT MIN(hold_until) FROM holds")?.query_row([], |row| row.get(0))?;
    Ok(next.map(Timestamp::from_millis))
}

/// The holds that are due, at most so many, table by table.
pub(super) fn due(db: &Connection, now: Timestamp, most: usize) -> rusqlite::Result<Vec<Due>> {
    let mut statement = db.prepare_cached(statements::DUE)?;
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map([now.millis(), limit], |row| {
        let until = Timestamp::from_millis(row.get(0)?);
        let table = TableId::parse(&row.get::<_, String>(2)?);
        Ok(Due { until, number: row.get(1)?, table })
    })?;
    let mut due: Vec<Due> = rows.collect::<rusqlite::Result<_>>()?;
    due.sort_unstable_by_key(|due| (due.table, due.number));
    Ok(due)
}

/// Lets those of these results expire that are still held, though they are due; returns them as they are now.
pub(super) fn expire(
    db: &Connection,
    table: TableId,
    ids: &[ResultId],
    now: Timestamp,
) -> rusqlite::Result<Vec<CouponResult>> {
    let due: Vec<CouponResult> = db
        .prepare(&statements::due(SQLITE, table, ids, now))?
        .query_map([], result)?
        .collect::<Result<_, _>>()?;
    db.execute(&statements::expire(table, ids, now), [])?;
    let expired =
        |row| CouponResult { state: ResultState::Expired, slot: None, state_time: Some(now), ..row };
    Ok(due.into_iter().map(expired).collect())
}

/// The result with that id.
pub(super) fn find(
    db: &Connection,
    table: impl Display,
    id: ResultId,
) -> rusqlite::Result<Option<CouponResult>> {
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
    table: impl Display,
    query: &ResultQuery,
    page: PageRequest,
) -> rusqlite::Result<Vec<CouponResult>> {
    let (filter, limit) = (Filter::page(query, page), i64::try_from(page.limit).unwrap_or(i64::MAX));
    let sql = statements::page(SQLITE, table, &filter, limit, Numbers::Bound);
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(filter.numbers().chain([limit])), result)?;
    rows.collect()
}

/// The next results of a table behind an id, in the order of ids.
pub(super) fn behind(
    db: &Connection,
    table: TableId,
    after: i64,
    most: usize,
) -> rusqlite::Result<Vec<CouponResult>> {
    let mut statement = db.prepare_cached(&statements::behind(SQLITE, table))?;
    let rows = statement.query_map([after, i64::try_from(most).unwrap_or(i64::MAX)], result)?;
    rows.collect()
}

/// The number of results a query covers, and the time of the latest.
pub(super) fn summary(
    db: &Connection,
    table: impl Display,
    query: &ResultQuery,
) -> rusqlite::Result<ResultSummary> {
    let filter = Filter::of(query);
    let mut statement = db.prepare_cached(&statements::summary(table, &filter, Numbers::Bound))?;
    statement.query_row(params_from_iter(filter.numbers()), |row| {
        let last: Option<i64> = row.get(1)?;
        Ok(ResultSummary { results: count(row, 0)?, last_grab: last.map(Timestamp::from_millis) })
    })
}

/// Sums over a whole table.
pub(super) fn totals(db: &Connection, table: impl Display) -> rusqlite::Result<Totals> {
    db.prepare_cached(&statements::totals(SQLITE, table))?.query_row([], |row| sums(row, 0))
}

/// Sums by coupon over the rows of a table up to an id that a condition holds for.
pub(super) fn totals_by_coupon(
    db: &Connection,
    table: TableId,
    last: i64,
    condition: &str,
) -> rusqlite::Result<Vec<(CouponId, Totals)>> {
    let condition = format!("result_id <= ?1 AND {condition}");
    let mut statement = db.prepare(&statements::totals_by_coupon(SQLITE, table, &condition))?;
    let rows = statement.query_map([last], |row| Ok((parsed(row, 0, CouponId::new)?, sums(row, 1)?)))?;
    rows.collect()
}

/// Sums that begin at a column.
fn sums(row: &Row<'_>, at: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        results: count(row, at)?,
        used: count(row, at + 1)?,
        order_amount: Money::from_cents(row.get(at + 2)?),
        given_back: count(row, at + 3)?,
    })
}

/// The tables that have results which are held.
pub(super) fn holding(db: &Connection) -> rusqlite::Result<Vec<TableId>> {
    let mut statement = db.prepare_cached(statements::HOLDING)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    names.filter_map(|name| name.map(|name| TableId::parse(&name)).transpose()).collect()
}

/// Counts the results of a table that are held, by coupon.
pub(super) fn held(db: &Connection, table: TableId) -> rusqlite::Result<Vec<(CouponId, u64)>> {
    let mut statement = db.prepare_cached(&statements::held(table))?;
    let rows = statement.query_map([], |row| Ok((parsed(row, 0, CouponId::new)?, count(row, 1)?)))?;
    rows.collect()
}

/// Takes a step of a result, if its row allows it; says whether it did.
pub(super) fn change(db: &Connection, table: TableId, change: &Change) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(&statements::change(table, change, Numbers::Bound))?;
    Ok(statement.execute(params_from_iter(statements::change_numbers(change)))? == 1)
}

/// A row as far as the gate knows it.
#[derive(Clone, Copy)]
pub(super) struct Reserved {
    pub(super) coupon: CouponId,
    pub(super) user: UserId,
    pub(super) reserved: Reservation,
    /// The time at which it gave its stock back; none if it is live.
    pub(super) given_back: Option<Timestamp>,
}

/// Every row of a table that takes stock, and those that answer a request and gave theirs back since a moment, of one coupon
/// or of all, in no particular order.
pub(super) fn reserved(
    db: &Connection,
    table: TableId,
    since: Timestamp,
    coupon: Option<CouponId>,
    mut each: impl FnMut(Reserved),
) -> rusqlite::Result<()> {
    let mut select = statements::reserved(table, Numbers::Bound, since);
    let mut numbers = vec![since.millis()];
    if let Some(coupon) = coupon {
        select.push_str(" AND coupon_id = ?");
        numbers.push(coupon.get().cast_signed());
    }
    let mut statement = db.prepare(&select)?;
    let mut rows = statement.query(rusqlite::params_from_iter(numbers))?;
    while let Some(row) = rows.next()? {
        each(reserved_in(row)?);
    }
    Ok(())
}

/// A row as a gate knows it, in the columns of [`statements::RESERVED`].
pub(super) fn reserved_in(row: &Row<'_>) -> rusqlite::Result<Reserved> {
    let slot: Option<u8> = row.get(3)?;
    let state_time: Option<i64> = row.get(6)?;
    Ok(Reserved {
        coupon: parsed(row, 0, CouponId::new)?,
        user: parsed(row, 1, UserId::new)?,
        reserved: Reservation {
            id: parsed(row, 2, ResultId::from_number)?,
            slot: slot.unwrap_or(0),
            hold_until: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            request: row.get::<_, Option<i64>>(5)?.and_then(RequestKey::from_number),
        },
        given_back: if slot.is_some() { None } else { state_time.map(Timestamp::from_millis) },
    })
}

/// The rows that an attempt's user has of its coupon, where a database decides grabs.
pub(super) fn mine(db: &Connection, attempt: &Attempt) -> rusqlite::Result<Vec<Mine>> {
    let since = remembered_since(attempt);
    let mut statement =
        db.prepare_cached(&stock::mine(Numbers::Bound, since, "user_id = ? AND coupon_id = ?"))?;
    let [user, coupon] = [attempt.user.get(), attempt.coupon.get()].map(u64::cast_signed);
    let rows = statement.query_map([user, coupon, since.millis(), user, coupon], reserved_in)?;
    rows.map(|row| row.map(|Reserved { reserved, given_back, .. }| (reserved, given_back))).collect()
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

pub(super) fn result(row: &Row<'_>) -> rusqlite::Result<CouponResult> {
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
