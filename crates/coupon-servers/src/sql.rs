//! Queries on a shard's tables of results.
//!
//! Several tables are one statement, so that they cost one round trip.

use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, Money, RequestKey, ResultId, ResultQuery, ResultState, TableId, Timestamp,
};
use coupon_store::statements::{self, Filter, Fresh, LEAVING, Numbers};
use coupon_store::{Change, Found, PageRequest, ResultSummary, Totals};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use super::lane::{Lane, QueryRoute};
use super::mysql::table_in;
use super::seam::{Alike, OutboxEntry};
use super::values::{self, get, parsed};

const MYSQL: Dialect = Dialect::MySql;

/// The most tables that one statement reads.
const TABLES: usize = 64;

/// The tables of results that a shard holds, the latest first.
pub(super) async fn tables(conn: &mut impl Queryable) -> mysql_async::Result<Vec<TableId>> {
    let names: Vec<String> = conn.query(format!("SHOW TABLES LIKE '{}%'", TableId::PREFIX)).await?;
    Ok(statements::latest_first(names.iter().filter_map(|name| TableId::parse(name))))
}

/// A question about tables of a shard and, where rows may be leaving it, about those.
pub(super) trait Question {
    /// Its answer.
    type Answer;
    /// True of a question about one result.
    const OF_ONE: bool = false;

    /// Asks it; also says how many tables were read.
    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        leaves: bool,
    ) -> mysql_async::Result<(Self::Answer, u64)>;
}

/// The results a query covers, latest first. Tables come latest first: once a page of a day (or hour) is full, earlier
/// days hold nothing for it.
pub(super) struct PageOf(pub(super) ResultQuery, pub(super) PageRequest);

impl Question for PageOf {
    type Answer = Vec<Found>;

    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        leaves: bool,
    ) -> mysql_async::Result<(Vec<Found>, u64)> {
        let Self(query, page) = self;
        let filter = Filter::page(query, *page);
        let mut found: Vec<Found> = Vec::new();
        let mut visited = 0;
        let by_time = tables.first().is_some_and(|table| table.day().is_some());
        let first = if by_time { 1 } else { TABLES };
        let (head, rest) = tables.split_at(first.min(tables.len()));
        for chunk in std::iter::once(head).chain(rest.chunks(TABLES)) {
            if chunk.is_empty() || (by_time && found.len() >= page.limit) {
                break;
            }
            for (table, row) in page_of(conn, route, chunk, &filter, page.limit).await? {
                found.push((table, values::result(&row)?));
            }
            visited += chunk.len() as u64;
        }
        if leaves {
            let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
            let select = statements::page(MYSQL, LEAVING, &filter, limit, Numbers::Written);
            found.append(&mut leaving(conn, &select).await?);
        }
        // Where a row has come to another table of this shard and is still among those that leave, the table's counts.
        found.sort_by_key(|(_, result)| std::cmp::Reverse(result.result_id));
        found.dedup_by_key(|(_, result)| result.result_id);
        found.truncate(page.limit);
        Ok((found, visited))
    }
}

/// The result with that id.
pub(super) struct FindOne(pub(super) ResultId);

impl Question for FindOne {
    type Answer = Option<Found>;
    const OF_ONE: bool = true;

    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        leaves: bool,
    ) -> mysql_async::Result<(Option<Found>, u64)> {
        let Self(id) = self;
        let visited = tables.len() as u64;
        for chunk in tables.chunks(TABLES) {
            let select = |table| statements::find(MYSQL, table, *id, Numbers::Written);
            if let Some((table, row)) = union(conn, route, chunk, select).await?.into_iter().next() {
                return Ok((Some((table, values::result(&row)?)), visited));
            }
        }
        if !leaves {
            return Ok((None, visited));
        }
        let select = statements::find(MYSQL, LEAVING, *id, Numbers::Written);
        Ok((leaving(conn, &select).await?.pop(), visited))
    }
}

/// The number of results a query covers, and the time of the latest.
pub(super) struct SummaryOf(pub(super) ResultQuery);

impl Question for SummaryOf {
    type Answer = ResultSummary;

    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        leaves: bool,
    ) -> mysql_async::Result<(ResultSummary, u64)> {
        let filter = Filter::of(&self.0);
        let mut rows: Vec<Row> = Vec::new();
        for chunk in tables.chunks(TABLES) {
            let select = |table| statements::summary(table, &filter, Numbers::Written);
            rows.extend(union(conn, route, chunk, select).await?.into_iter().map(|(_, row)| row));
        }
        if leaves {
            rows.extend(conn.query_first(statements::summary(LEAVING, &filter, Numbers::Written)).await?);
        }
        let mut sum = ResultSummary::default();
        for row in &rows {
            sum.results += get::<u64>(row, 0)?;
            let last = get::<Option<i64>>(row, 1)?.map(Timestamp::from_millis);
            sum.last_grab = sum.last_grab.max(last);
        }
        Ok((sum, tables.len() as u64))
    }
}

/// Sums over whole tables.
pub(super) struct TotalsOf;

impl Question for TotalsOf {
    type Answer = Totals;

    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        leaves: bool,
    ) -> mysql_async::Result<(Totals, u64)> {
        let mut sum = Totals::default();
        let planned = route == QueryRoute::Planned;
        let select = |table| match planned {
            true => statements::plain_totals(table),
            false => statements::totals(MYSQL, table),
        };
        for chunk in tables.chunks(TABLES) {
            for (_, row) in union(conn, route, chunk, select).await? {
                sum += if planned { plain_totals_in(&row)? } else { totals_in(&row)? };
            }
        }
        if leaves {
            let row: Option<Row> = conn.query_first(statements::totals(MYSQL, LEAVING)).await?;
            sum += row.as_ref().map(totals_in).transpose()?.unwrap_or_default();
        }
        Ok((sum, tables.len() as u64))
    }
}

/// The number of results that are held, by coupon, in those of the tables that have any. What is leaving is not in the list of
/// what is held.
pub(super) struct HeldOf(pub(super) Lane);

impl Question for HeldOf {
    type Answer = Vec<(CouponId, u64)>;

    async fn ask(
        &self,
        conn: &mut impl Queryable,
        route: QueryRoute,
        tables: &[TableId],
        _: bool,
    ) -> mysql_async::Result<(Vec<(CouponId, u64)>, u64)> {
        let Self(lane) = self;
        let names: Vec<String> =
            conn.query(route.named(format!("{} WHERE {lane}", statements::HOLDING))).await?;
        let holding: Vec<TableId> = names.iter().filter_map(|name| TableId::parse(name)).collect();
        let tables: Vec<TableId> = tables.iter().filter(|table| holding.contains(table)).copied().collect();
        let mut held = Vec::new();
        for chunk in tables.chunks(TABLES) {
            let select =
                |table| statements::held(table).replacen(" WHERE ", &format!(" WHERE h.{lane} AND "), 1);
            for (_, row) in union(conn, route, chunk, select).await? {
                held.push((parsed(&row, 0, CouponId::new)?, get(&row, 1)?));
            }
        }
        Ok((held, tables.len() as u64))
    }
}

/// The rows that are leaving of a SELECT of results, each with the table that it was in.
async fn leaving(conn: &mut impl Queryable, select: &str) -> mysql_async::Result<Vec<Found>> {
    let rows: Vec<Row> = conn.query(select.replacen(" FROM ", ", from_table FROM ", 1)).await?;
    let found = |row: &Row| Ok((table_in(row, row.len().saturating_sub(1))?, values::result(row)?));
    rows.iter().map(found).collect()
}

/// The sums that [`statements::totals`] asks for.
pub(super) fn totals_in(row: &Row) -> mysql_async::Result<Totals> {
    Ok(Totals {
        results: get(row, 0)?,
        used: get(row, 1)?,
        order_amount: Money::from_cents(get(row, 2)?),
        given_back: get(row, 3)?,
    })
}

/// The sums that [`statements::plain_totals`] asks for.
fn plain_totals_in(row: &Row) -> mysql_async::Result<Totals> {
    let (results, taking): (u64, u64) = (get(row, 0)?, get(row, 3)?);
    Ok(Totals {
        results,
        used: get::<Option<u64>>(row, 1)?.unwrap_or(0),
        order_amount: values::sum_of_money(row, 2)?,
        given_back: results.saturating_sub(taking),
    })
}

/// The statement that stores fresh results, all of them or none; or, to see what comes of it, without a word of those
/// that are like what is there. Another one after it notes those that are held.
pub(super) fn insert(lane: Lane, table: TableId, results: &[&CouponResult], ignore: bool) -> String {
    /// Digits of a row's five numbers, and what is between them, as they usually are.
    const ROW: usize = 72;
    // One statement for all of them: it stores all, or none.
    let full = results.iter().any(|result| Fresh::of(result) == Fresh::Full);
    let mut sql = statements::insert(table, if full { Fresh::Full } else { Fresh::Plain });
    if ignore {
        sql = sql.replacen("INSERT", "INSERT IGNORE", 1);
    }
    sql.reserve(results.len() * ROW);
    let fresh = statements::fresh();
    // A busy shard has tens of thousands of them a second: the formatting machinery would take as long as all the rest.
    let mut digits = itoa::Buffer::new();
    for (number, result) in results.iter().enumerate() {
        sql.push_str(if number == 0 { "(" } else { ",(" });
        ids(&mut sql, &mut digits, result);
        numbers(&mut sql, &mut digits, &[Some(result.grab_time.millis())]);
        if full {
            numbers(&mut sql, &mut digits, &reservation(result));
        }
        sql.push_str(&fresh);
    }
    if full {
        sql.push_str(&hold(lane, table, results));
    }
    sql
}

/// The statement that stores rows with all that became of them, all or none, with those that are held. What is to be done with
/// rows that are there already is said behind the values.
pub(super) fn insert_whole(lane: Lane, table: TableId, rows: &[&CouponResult], there: &str) -> String {
    let (columns, values) = (statements::COLUMNS.join(","), whole(rows.iter().copied()));
    let insert = lane.named(format!("INSERT INTO {table} ({columns}) VALUES {values}{there}"));
    insert + &hold(lane, table, rows)
}

/// The values of rows with all that became of them, in the order of a table's columns. As text, since a statement that
/// is prepared for so many values takes the server, and the driver, some MB.
pub(super) fn whole<'a>(rows: impl ExactSizeIterator<Item = &'a CouponResult>) -> String {
    /// The characters of a row, as they usually are.
    const ROW: usize = 112;
    let mut sql = String::with_capacity(rows.len() * ROW);
    let mut digits = itoa::Buffer::new();
    for (number, row) in rows.enumerate() {
        let CouponResult { grab_status, fail_reason, grab_time, use_status, use_time, order_amount, .. } =
            row;
        sql.push_str(if number == 0 { "(" } else { ",(" });
        ids(&mut sql, &mut digits, row);
        numbers(&mut sql, &mut digits, &[Some(grab_status.code())]);
        match fail_reason {
            Some(reason) => sql.extend([",'", reason.as_str(), "'"]),
            None => sql.push_str(",NULL"),
        }
        let (use_time, state_time) = (use_time.map(Timestamp::millis), row.state_time.map(Timestamp::millis));
        numbers(&mut sql, &mut digits, &[Some(grab_time.millis()), Some(use_status.code()), use_time]);
        match order_amount {
            Some(amount) => sql.extend([",", &amount.to_string()]),
            None => sql.push_str(",NULL"),
        }
        numbers(&mut sql, &mut digits, &reservation(row));
        numbers(&mut sql, &mut digits, &[state_time]);
        sql.push(')');
    }
    sql
}

/// Writes the ids that a row begins with.
fn ids(sql: &mut String, digits: &mut itoa::Buffer, row: &CouponResult) {
    sql.push_str(digits.format(row.result_id.number()));
    for id in [row.user_id.get(), row.coupon_id.get(), row.room_id.get()] {
        sql.push(',');
        sql.push_str(digits.format(id));
    }
}

/// Writes more numbers of a row.
fn numbers(sql: &mut String, digits: &mut itoa::Buffer, numbers: &[Option<i64>]) {
    for number in numbers {
        sql.push(',');
        sql.push_str(number.map_or("NULL", |number| digits.format(number)));
    }
}

/// A row's state, slot, the time until which it is held, and request.
fn reservation(row: &CouponResult) -> [Option<i64>; 4] {
    let CouponResult { state, slot, hold_until, request, .. } = row;
    let (hold_until, request) = (hold_until.map(Timestamp::millis), request.map(RequestKey::number));
    [Some(state.code()), slot.map(i64::from), hold_until, request]
}

/// The statement that notes which of these results are held, if any; it begins by ending the one before.
pub(super) fn hold(lane: Lane, table: TableId, results: &[&CouponResult]) -> String {
    let held = results.iter().filter(|result| result.state == ResultState::Held);
    let value = lane.value();
    let row = |result: &&CouponResult| {
        let until = result.hold_until?.millis();
        Some(format!("({value},{until},{},'{table}')", result.result_id))
    };
    let rows: Vec<String> = held.filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    // One that is left there, of a row that a person deleted, must not be taken for a contradiction of the results.
    let insert = lane.named(format!(
        "INSERT INTO holds (lane, hold_until, result_id, table_name) VALUES {} \
         ON DUPLICATE KEY UPDATE table_name = VALUES(table_name)",
        rows.join(",")
    ));
    format!("; {insert}")
}

/// Takes a step of a result, if its row allows it; says whether it did.
pub(super) async fn change(
    conn: &mut impl Queryable,
    lane: Lane,
    table: TableId,
    change: &Change,
) -> mysql_async::Result<bool> {
    let sql = lane.named(statements::change(table, change, Numbers::Written));
    let mut result = conn.query_iter(sql).await?;
    let changed = result.affected_rows();
    result.for_each(drop).await?;
    Ok(changed == 1)
}

/// The results in a table that have one of these ids, or are in one of these users' and coupons' slots.
pub(super) async fn alike(
    conn: &mut impl Queryable,
    lane: Lane,
    table: TableId,
    results: &[&CouponResult],
) -> mysql_async::Result<Vec<Alike>> {
    let ids: Vec<String> = results.iter().map(|result| result.result_id.number().to_string()).collect();
    let slot = |result: &&CouponResult| {
        format!("({},{},{})", result.user_id, result.coupon_id, result.slot.unwrap_or(0))
    };
    let held: Vec<String> = results.iter().map(slot).collect();
    let columns = "result_id, user_id, coupon_id, room_id, slot";
    let alike = |(id, user, coupon, room, slot)| Alike { id, user, coupon, room, slot };
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE result_id IN ({}) UNION SELECT {columns} FROM {table} \
         WHERE (user_id, coupon_id, slot) IN ({})",
        ids.join(","),
        held.join(","),
    );
    conn.query_map(lane.named(sql), alike).await
}

/// Parks a result, unless it is parked already.
pub(super) async fn park(
    conn: &mut impl Queryable,
    lane: Lane,
    table: TableId,
    result: &CouponResult,
    reason: &str,
    now: Timestamp,
) -> mysql_async::Result<()> {
    let CouponResult { result_id, user_id, coupon_id, room_id, slot, request, hold_until, .. } = result;
    let ids = (result_id.number(), user_id.get(), coupon_id.get(), room_id.get());
    let granted = (slot, request.map(RequestKey::number), hold_until.map(Timestamp::millis));
    let row = (
        ids.0,
        ids.1,
        ids.2,
        ids.3,
        table.to_string(),
        reason,
        now.millis(),
        granted.0,
        granted.1,
        granted.2,
    );
    conn.exec_drop(lane.insert(&statements::park(MYSQL)), row).await
}

/// Entries of a shard's outbox, from after one of them on; none if it belongs to another data set. Entries that wait for the gate
/// to let go of something are left out, and so is what comes after them: stock comes back to the gate before main knows.
pub(super) async fn outbox_after(
    conn: &mut Conn,
    lane: Lane,
    dataset: &str,
    id: i64,
    most: usize,
) -> mysql_async::Result<Vec<OutboxEntry>> {
    let sql = format!(
        "SELECT o.outbox_id, o.deltas FROM outbox o JOIN shard_state s ON s.{lane} AND s.dataset = ? \
         WHERE o.{lane} AND o.outbox_id > ? \
         AND NOT EXISTS (SELECT 1 FROM releases r WHERE r.{lane} AND r.outbox_id <= o.outbox_id) \
         ORDER BY o.outbox_id LIMIT {most}"
    );
    let rows: Vec<(i64, String)> = conn.exec(lane.named(sql), (dataset, id)).await?;
    Ok(rows.into_iter().map(|(id, deltas)| OutboxEntry { id, deltas }).collect())
}

/// Runs one statement over several tables; each row comes with the table that it is from.
async fn union(
    conn: &mut impl Queryable,
    route: QueryRoute,
    tables: &[TableId],
    select: impl Fn(TableId) -> String,
) -> mysql_async::Result<Vec<(TableId, Row)>> {
    if let [table] = tables {
        let rows: Vec<Row> = conn.query(route.named(select(*table))).await?;
        return Ok(rows.into_iter().map(|row| (*table, row)).collect());
    }
    let parts: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(number, table)| {
            format!("({})", select(*table).replacen(" FROM ", &format!(", {number} FROM "), 1))
        })
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

/// The rows of a page of each table. Of one table the statement is prepared: the server need not read it again, and
/// numbers come as they are, where in text each costs an allocation. Of several it is another one too often, and at a lane's
/// address an engine prepares none whose LIMIT is a parameter.
async fn page_of(
    conn: &mut impl Queryable,
    route: QueryRoute,
    tables: &[TableId],
    filter: &Filter,
    limit: usize,
) -> mysql_async::Result<Vec<(TableId, Row)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if let [table] = tables
        && !route.is_engines_lane()
    {
        let sql = statements::page(MYSQL, *table, filter, limit, Numbers::Bound);
        let params = Params::Positional(filter.numbers().chain([limit]).map(Value::Int).collect());
        let rows: Vec<Row> = conn.exec(route.named(sql), params).await?;
        return Ok(rows.into_iter().map(|row| (*table, row)).collect());
    }
    union(conn, route, tables, |table| statements::page(MYSQL, table, filter, limit, Numbers::Written)).await
}
