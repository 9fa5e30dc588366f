//! Queries on a shard's tables of results.
//!
//! Whatever is written into a statement is a number or the name of a table, and both come from types of our own: nothing
//! that somebody sent is ever text in a statement. Several tables are one statement, so that they cost one round trip.

use coupon_core::{CouponResult, GrabStatus, Money, ResultId, ResultQuery, TableId, Timestamp, UseStatus};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Row, Value};

use super::values::{self, RESULT, get};
use crate::{Found, PageRequest, Spending, Summary, Totals};

/// The most tables that one statement reads.
const TABLES: usize = 64;

/// The tables of results that a shard holds, the latest first.
pub(super) async fn tables(conn: &mut Conn) -> mysql_async::Result<Vec<TableId>> {
    let names: Vec<String> = conn.query(format!("SHOW TABLES LIKE '{}%'", TableId::PREFIX)).await?;
    let mut tables: Vec<TableId> = names.iter().filter_map(|name| TableId::parse(name)).collect();
    tables.sort_unstable_by(|a, b| b.cmp(a));
    Ok(tables)
}

/// The results a query covers, latest first, and how many tables were read for them. Tables come latest first: once a
/// page of a day (or hour) is full, earlier days hold nothing for it.
pub(super) async fn page(
    conn: &mut Conn,
    tables: &[TableId],
    query: &ResultQuery,
    page: PageRequest,
) -> mysql_async::Result<(Vec<Found>, u64)> {
    let filter = Filter::page(query, page);
    let mut found: Vec<Found> = Vec::new();
    let mut visited = 0;
    let by_time = tables.first().is_some_and(|table| table.day().is_some());
    let first = if by_time { 1 } else { TABLES };
    let (head, rest) = tables.split_at(first.min(tables.len()));
    for chunk in std::iter::once(head).chain(rest.chunks(TABLES)) {
        if chunk.is_empty() || (by_time && found.len() >= page.limit) {
            break;
        }
        for (table, row) in filter.page_of(conn, chunk, page.limit).await? {
            found.push((table, values::result(&row)?));
        }
        visited += chunk.len() as u64;
    }
    found.sort_unstable_by_key(|(_, result)| std::cmp::Reverse(result.result_id));
    found.truncate(page.limit);
    Ok((found, visited))
}

/// The result with that id.
pub(super) async fn find(
    conn: &mut Conn,
    tables: &[TableId],
    id: ResultId,
) -> mysql_async::Result<Option<Found>> {
    for chunk in tables.chunks(TABLES) {
        let select =
            |table: &TableId| format!("(SELECT {RESULT} FROM {table} WHERE result_id = {})", id.number());
        if let Some((table, row)) = union(conn, chunk, select).await?.into_iter().next() {
            return Ok(Some((table, values::result(&row)?)));
        }
    }
    Ok(None)
}

/// How many results a query covers, and when the latest was grabbed.
pub(super) async fn summary(
    conn: &mut Conn,
    tables: &[TableId],
    query: &ResultQuery,
) -> mysql_async::Result<Summary> {
    let clause = Filter::of(query).clause();
    let mut sum = Summary::default();
    for chunk in tables.chunks(TABLES) {
        let select = |table: &TableId| format!("(SELECT COUNT(*), MAX(grab_time) FROM {table} {clause})");
        for (_, row) in union(conn, chunk, select).await? {
            sum.results += get::<u64>(&row, 0)?;
            let last = get::<Option<i64>>(&row, 1)?.map(Timestamp::from_millis);
            sum.last_grab = sum.last_grab.max(last);
        }
    }
    Ok(sum)
}

/// Sums over whole tables.
pub(super) async fn totals(conn: &mut Conn, tables: &[TableId]) -> mysql_async::Result<Totals> {
    let mut sum = Totals::default();
    for chunk in tables.chunks(TABLES) {
        let select = |table: &TableId| {
            format!(
                "(SELECT COUNT(*), CAST(COALESCE(SUM(use_status), 0) AS SIGNED), \
                 CAST(COALESCE(SUM(order_amount), 0) * 100 AS SIGNED) FROM {table})"
            )
        };
        for (_, row) in union(conn, chunk, select).await? {
            sum.results += get::<u64>(&row, 0)?;
            sum.used += get::<u64>(&row, 1)?;
            sum.order_amount = Money::from_cents(sum.order_amount.cents() + get::<i64>(&row, 2)?);
        }
    }
    Ok(sum)
}

/// The statement that stores fresh results, all of them or none; or, to see what comes of it, without a word of those that
/// are like what is there.
pub(super) fn insert(table: TableId, results: &[&CouponResult], ignore: bool) -> String {
    /// Digits of a row's five numbers, and what is between them, as they usually are.
    const ROW: usize = 72;
    let (granted, unused) = (GrabStatus::Granted.code(), UseStatus::Unused.code());
    let ignore = if ignore { " IGNORE" } else { "" };
    let mut sql = format!(
        "INSERT{ignore} INTO {table} (result_id, user_id, coupon_id, room_id, grab_time, grab_status, use_status) VALUES "
    );
    sql.reserve(results.len() * ROW);
    let constants = format!(",{granted},{unused})");
    // A busy shard has tens of thousands of them a second: the formatting machinery would take as long as all the rest.
    let mut digits = itoa::Buffer::new();
    for (number, result) in results.iter().enumerate() {
        sql.push_str(if number == 0 { "(" } else { ",(" });
        sql.push_str(digits.format(result.result_id.number()));
        for id in [result.user_id.get(), result.coupon_id.get(), result.room_id.get()] {
            sql.push(',');
            sql.push_str(digits.format(id));
        }
        sql.push(',');
        sql.push_str(digits.format(result.grab_time.millis()));
        sql.push_str(&constants);
    }
    sql
}

/// Marks a result as spent unless it is already; says whether it did.
pub(super) async fn spend(
    conn: &mut impl mysql_async::prelude::Queryable,
    table: TableId,
    spending: &Spending,
) -> mysql_async::Result<bool> {
    let Spending { user, id, amount, time } = *spending;
    let mut result = conn
        .query_iter(format!(
            "UPDATE {table} SET use_status = 1, use_time = {}, order_amount = {} / 100 \
             WHERE result_id = {} AND user_id = {user} AND use_status = 0",
            time.millis(),
            amount.cents(),
            id.number(),
        ))
        .await?;
    let changed = result.affected_rows();
    result.for_each(drop).await?;
    Ok(changed == 1)
}

/// `result_id, user_id, coupon_id, room_id` of results in a table that have one of these ids, or are of one of these
/// users and coupons.
pub(super) async fn alike(
    conn: &mut impl mysql_async::prelude::Queryable,
    table: TableId,
    results: &[&CouponResult],
) -> mysql_async::Result<Vec<(i64, u64, u64, u64)>> {
    let ids: Vec<String> = results.iter().map(|result| result.result_id.number().to_string()).collect();
    let held: Vec<String> =
        results.iter().map(|result| format!("({},{})", result.user_id, result.coupon_id)).collect();
    let columns = "result_id, user_id, coupon_id, room_id";
    conn.query(format!(
        "SELECT {columns} FROM {table} WHERE result_id IN ({}) UNION SELECT {columns} FROM {table} \
         WHERE (user_id, coupon_id) IN ({})",
        ids.join(","),
        held.join(","),
    ))
    .await
}

/// Runs one statement over several tables; each row comes with the table that it is from.
async fn union(
    conn: &mut Conn,
    tables: &[TableId],
    select: impl Fn(&TableId) -> String,
) -> mysql_async::Result<Vec<(TableId, Row)>> {
    if let [table] = tables {
        // The parentheses are for UNION alone.
        let sql = select(table);
        let rows: Vec<Row> =
            conn.query(sql.trim_start_matches('(').strip_suffix(')').unwrap_or(&sql)).await?;
        return Ok(rows.into_iter().map(|row| (*table, row)).collect());
    }
    let parts: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(number, table)| select(table).replacen(" FROM ", &format!(", {number} FROM "), 1))
        .collect();
    let rows: Vec<Row> = conn.query(parts.join(" UNION ALL ")).await?;
    let of = |row: Row| {
        let number: usize = get(&row, row.len().saturating_sub(1))?;
        let table =
            tables.get(number).ok_or_else(|| mysql_async::Error::Other("a row of no table".into()))?;
        Ok((*table, row))
    };
    rows.into_iter().map(of).collect()
}

/// What a query asks of a row, as SQL.
struct Filter {
    /// A comparison with a number, and the number.
    conditions: Vec<(&'static str, i64)>,
    order: &'static str,
}

impl Filter {
    fn of(query: &ResultQuery) -> Self {
        Self::with(query, Vec::new())
    }

    fn page(query: &ResultQuery, page: PageRequest) -> Self {
        let mut more = Vec::new();
        if let Some(before) = page.before {
            more.push(("result_id <", before.number()));
            if query.room.is_some() {
                more.push(("grab_time <=", before.time().millis()));
            }
        }
        Self::with(query, more)
    }

    fn with(query: &ResultQuery, mut conditions: Vec<(&'static str, i64)>) -> Self {
        conditions.extend(query.user.map(|user| ("user_id =", user.get().cast_signed())));
        conditions.extend(query.room.map(|room| ("room_id =", room.get().cast_signed())));
        if let Some(time) = query.time {
            // An id begins with its time, so the key serves a window of time; a room's index is in the order of time.
            let (start, end) = (ResultId::earliest_at(time.start), ResultId::earliest_at(time.end));
            conditions.extend([("result_id >=", start.number()), ("result_id <", end.number())]);
        }
        let order = if query.room.is_some() { "grab_time DESC, result_id DESC" } else { "result_id DESC" };
        Self { conditions, order }
    }

    fn clause(&self) -> String {
        self.clause_of(i64::to_string)
    }

    fn clause_of(&self, value: impl Fn(&i64) -> String) -> String {
        let conditions: Vec<String> =
            self.conditions.iter().map(|(what, number)| format!("{what} {}", value(number))).collect();
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
    }

    /// The rows of a page of each table. Of one table the statement is prepared: the server need not read it again, and
    /// numbers come as they are, where in text each costs an allocation. Of several it is another one too often.
    async fn page_of(
        &self,
        conn: &mut Conn,
        tables: &[TableId],
        limit: usize,
    ) -> mysql_async::Result<Vec<(TableId, Row)>> {
        let order = self.order;
        if let [table] = tables {
            let clause = self.clause_of(|_| "?".to_owned());
            let sql = format!("SELECT {RESULT} FROM {table} {clause} ORDER BY {order} LIMIT ?");
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let numbers = self.conditions.iter().map(|(_, number)| *number).chain([limit]);
            let params = Params::Positional(numbers.map(Value::Int).collect());
            let rows: Vec<Row> = conn.exec(sql, params).await?;
            return Ok(rows.into_iter().map(|row| (*table, row)).collect());
        }
        let clause = self.clause();
        let select = |table: &TableId| {
            format!("(SELECT {RESULT} FROM {table} {clause} ORDER BY {order} LIMIT {limit})")
        };
        union(conn, tables, select).await
    }
}
