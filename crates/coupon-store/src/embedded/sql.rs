//! The statements on tables of results, and the rows they carry. Table names come from [`TableId`] alone.

use coupon_core::{
    CouponId, CouponResult, GrabStatus, Money, ResultId, ResultQuery, RoomId, TableId, Timestamp, UseStatus,
    UserId,
};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{CachedStatement, Connection, Row, ToSql, params};

use crate::{PageRequest, Summary, Totals};

const COLUMNS: &str = "result_id, user_id, coupon_id, room_id, grab_status, fail_reason, grab_time, use_status, use_time, order_amount";

/// Stores fresh results in one table.
pub(super) struct Insert<'a>(CachedStatement<'a>);

impl<'a> Insert<'a> {
    pub(super) fn into(db: &'a Connection, table: TableId) -> rusqlite::Result<Self> {
        // What is the same for every fresh result is not bound anew for each.
        let sql = format!(
            "INSERT INTO {table} (result_id, user_id, coupon_id, room_id, grab_time, grab_status, use_status) \
             VALUES (?1, ?2, ?3, ?4, ?5, {}, {}) ON CONFLICT DO NOTHING",
            GrabStatus::Granted.code(),
            UseStatus::Unused.code(),
        );
        Ok(Self(db.prepare_cached(&sql)?))
    }

    /// Stores a fresh result, as [`CouponResult::granted`] makes it, unless it contradicts one that is stored; says
    /// whether it went in.
    pub(super) fn add(&mut self, result: &CouponResult) -> rusqlite::Result<bool> {
        let changed = self.0.execute(params![
            result.result_id.number(),
            result.user_id.get(),
            result.coupon_id.get(),
            result.room_id.get(),
            result.grab_time.millis(),
        ])?;
        Ok(changed == 1)
    }
}

/// Keeps a result that contradicts what is stored; says whether it was not kept before.
pub(super) fn park(
    db: &Connection,
    table: TableId,
    result: &CouponResult,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let mut park = db.prepare_cached(
        "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?;
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
    let sql = format!("SELECT {COLUMNS} FROM {table} WHERE result_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query_map([id.number()], result)?;
    rows.next().transpose()
}

/// The id under which a user holds a coupon in this table.
pub(super) fn held(
    db: &Connection,
    table: TableId,
    user: UserId,
    coupon: CouponId,
) -> rusqlite::Result<Option<ResultId>> {
    let sql = format!("SELECT result_id FROM {table} WHERE user_id = ?1 AND coupon_id = ?2");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows =
        statement.query_map([user.get(), coupon.get()], |row| parsed(row, 0, ResultId::from_number))?;
    rows.next().transpose()
}

/// The results a query covers, latest first. `grab_time` is the id's time, so both order alike.
pub(super) fn page(
    db: &Connection,
    table: TableId,
    query: &ResultQuery,
    page: PageRequest,
) -> rusqlite::Result<Vec<CouponResult>> {
    let mut filter = Filter::of(query);
    // A room's index is in the order of time; everything else is in the order of the key. They agree.
    let by_room = query.room.is_some();
    if let Some(before) = page.before {
        let id = filter.bind(before.number());
        filter.conditions.push(format!("result_id < {id}"));
        if by_room {
            let time = filter.bind(before.time().millis());
            filter.conditions.push(format!("grab_time <= {time}"));
        }
    }
    let limit = filter.bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
    let order = if by_room { "grab_time DESC, result_id DESC" } else { "result_id DESC" };
    let sql =
        format!("SELECT {COLUMNS} FROM {table} {} ORDER BY {order} LIMIT {limit}", filter.where_clause());
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(filter.values().as_slice(), result)?;
    rows.collect()
}

/// How many results a query covers, and when the latest was grabbed.
pub(super) fn summary(db: &Connection, table: TableId, query: &ResultQuery) -> rusqlite::Result<Summary> {
    let filter = Filter::of(query);
    let sql = format!("SELECT COUNT(*), MAX(grab_time) FROM {table} {}", filter.where_clause());
    db.prepare_cached(&sql)?.query_row(filter.values().as_slice(), |row| {
        let last: Option<i64> = row.get(1)?;
        Ok(Summary { results: count(row, 0)?, last_grab: last.map(Timestamp::from_millis) })
    })
}

/// Sums over a whole table.
pub(super) fn totals(db: &Connection, table: TableId) -> rusqlite::Result<Totals> {
    let sql = format!("SELECT COUNT(*), TOTAL(use_status), TOTAL(order_amount) FROM {table}");
    db.prepare_cached(&sql)?.query_row([], |row| {
        let used: f64 = row.get(1)?;
        let amount: f64 = row.get(2)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
        let used = used as u64;
        Ok(Totals {
            results: count(row, 0)?,
            used,
            order_amount: Money::from_units(amount).unwrap_or_default(),
        })
    })
}

/// Marks a result as spent unless it is already; says whether it did.
pub(super) fn spend(
    db: &Connection,
    table: TableId,
    (user, id): (UserId, ResultId),
    time: Timestamp,
    amount: Money,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE {table} SET use_status = 1, use_time = ?3, order_amount = ?4 \
         WHERE result_id = ?1 AND user_id = ?2 AND use_status = 0"
    );
    let values = params![id.number(), user.get(), time.millis(), amount.units()];
    Ok(db.prepare_cached(&sql)?.execute(values)? == 1)
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
    let mut tables: Vec<TableId> = Vec::new();
    for name in names {
        tables.extend(TableId::parse(&name?));
    }
    sort_latest_first(&mut tables);
    Ok(tables)
}

/// Day and hour tables sort by time; the order of others does not matter.
pub(super) fn sort_latest_first(tables: &mut [TableId]) {
    tables.sort_unstable_by(|a, b| b.cmp(a));
}

fn result(row: &Row<'_>) -> rusqlite::Result<CouponResult> {
    let used: Option<i64> = row.get(8)?;
    let amount: Option<f64> = row.get(9)?;
    Ok(CouponResult {
        result_id: parsed(row, 0, ResultId::from_number)?,
        user_id: parsed(row, 1, UserId::new)?,
        coupon_id: parsed(row, 2, CouponId::new)?,
        room_id: parsed(row, 3, RoomId::new)?,
        grab_status: parsed(row, 4, GrabStatus::from_code)?,
        // Only grabs that got their coupon are stored.
        fail_reason: None,
        grab_time: Timestamp::from_millis(row.get(6)?),
        use_status: parsed(row, 7, UseStatus::from_code)?,
        use_time: used.map(Timestamp::from_millis),
        order_amount: amount.and_then(Money::from_units),
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

#[derive(Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<i64>,
}

impl Filter {
    fn of(query: &ResultQuery) -> Self {
        let mut filter = Self::default();
        if let Some(user) = query.user {
            let value = filter.bind(user.get().cast_signed());
            filter.conditions.push(format!("user_id = {value}"));
        }
        if let Some(room) = query.room {
            let value = filter.bind(room.get().cast_signed());
            filter.conditions.push(format!("room_id = {value}"));
        }
        if let Some(time) = query.time {
            let (start, end) = (ResultId::earliest_at(time.start), ResultId::earliest_at(time.end));
            let (start, end) = (filter.bind(start.number()), filter.bind(end.number()));
            filter.conditions.push(format!("result_id >= {start} AND result_id < {end}"));
        }
        filter
    }

    fn bind(&mut self, value: i64) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }

    fn values(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(|value| value as &dyn ToSql).collect()
    }
}
