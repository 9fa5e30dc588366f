//! The statements on tables of results, for both databases.
//!
//! A statement's text holds numbers and names of tables, and both come from types of this workspace: nothing that a
//! client sent is ever text in a statement.

use std::fmt::Display;

use coupon_core::after_grab::{Action, Deadline, Transition};
use coupon_core::schema::Dialect;
use coupon_core::{
    CouponResult, GrabStatus, ResultId, ResultQuery, ResultState, TableId, Timestamp, UseStatus,
};

use crate::gate::REMEMBERED_MS;
use crate::{Change, PageRequest, Reservation};

/// All columns of a table of results, in the order in which whole rows are written.
pub const COLUMNS: [&str; 15] = [
    "result_id",
    "user_id",
    "coupon_id",
    "room_id",
    "grab_status",
    "fail_reason",
    "grab_time",
    "use_status",
    "use_time",
    "order_amount",
    "state",
    "slot",
    "hold_until",
    "request",
    "state_time",
];

/// The table of what is leaving a shard.
pub const LEAVING: &str = "leaving";

/// The form in which a statement holds its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As placeholders: the statement stays the same, and is prepared once.
    Bound,
    /// In the text.
    Written,
}

impl Numbers {
    fn show(self, number: i64) -> String {
        match self {
            Self::Bound => "?".to_owned(),
            Self::Written => number.to_string(),
        }
    }
}

/// The columns of a result, as a SELECT names them. Amounts come in cents: exact, and whole.
#[must_use]
pub fn columns(dialect: Dialect) -> String {
    let amount = whole(dialect, "order_amount * 100");
    format!(
        "result_id, user_id, coupon_id, room_id, grab_status, grab_time, use_status, use_time, {amount}, state, slot, \
         hold_until, request, state_time"
    )
}

/// The result of an id, in one table.
pub fn find(dialect: Dialect, table: impl Display, id: ResultId, numbers: Numbers) -> String {
    format!("SELECT {} FROM {table} WHERE result_id = {}", columns(dialect), numbers.show(id.number()))
}

/// A page of one table, latest first; the limit is the last of its numbers.
#[must_use]
pub fn page(dialect: Dialect, table: impl Display, filter: &Filter, limit: i64, numbers: Numbers) -> String {
    // A room's index is in the order of time; everything else is in the order of the key. They agree.
    let order = if filter.by_room { "grab_time DESC, result_id DESC" } else { "result_id DESC" };
    let (columns, clause, limit) = (columns(dialect), filter.clause(numbers), numbers.show(limit));
    format!("SELECT {columns} FROM {table}{clause} ORDER BY {order} LIMIT {limit}")
}

/// The next results of one table behind an id, in the order of ids. Its numbers are the id and the most that are wanted.
pub fn behind(dialect: Dialect, table: TableId) -> String {
    format!("SELECT {} FROM {table} WHERE result_id > ? ORDER BY result_id LIMIT ?", columns(dialect))
}

/// Counts the results of one table that a query covers, with the time of the latest.
pub fn summary(table: impl Display, filter: &Filter, numbers: Numbers) -> String {
    format!("SELECT COUNT(*), MAX(grab_time) FROM {table}{}", filter.clause(numbers))
}

/// Counts the results of one table and those that are spent, sums their orders, in cents, and counts those that gave
/// their stock back.
#[must_use]
pub fn totals(dialect: Dialect, table: impl Display) -> String {
    format!("SELECT {} FROM {table}", sums(dialect))
}

/// The same sums, of a table that an engine has over its shards: only what it can add up by itself. Counts the results, adds up
/// those that are spent and their orders, in units, and counts those that take stock.
#[must_use]
pub fn plain_totals(table: impl Display) -> String {
    format!("SELECT COUNT(*), SUM(use_status), SUM(order_amount), COUNT(slot) FROM {table}")
}

/// The sums of [`totals`] of each coupon, behind its id, of the rows that a condition holds for.
pub(crate) fn totals_by_coupon(dialect: Dialect, table: impl Display, condition: &str) -> String {
    format!("SELECT coupon_id, {} FROM {table} WHERE {condition} GROUP BY coupon_id", sums(dialect))
}

fn sums(dialect: Dialect) -> String {
    let used = whole(dialect, "COALESCE(SUM(use_status), 0)");
    let amount = whole(dialect, "COALESCE(SUM(order_amount), 0) * 100");
    let given_back = whole(dialect, "COALESCE(SUM(slot IS NULL), 0)");
    format!("COUNT(*), {used}, {amount}, {given_back}")
}

/// The condition on a row that takes stock.
pub const LIVE: &str = "slot IS NOT NULL";

/// The condition on a row that an archive may let go which began at that moment: it is not held, and it answers no
/// request any more, as one that gave its stock back does for a while. Where there is a room index, which lets go of it
/// later, it has not changed since either: of both the same rows go.
#[must_use]
pub fn settled(began: Timestamp, indexed: bool) -> String {
    let (held, since) = (ResultState::Held.code(), began.millis() - REMEMBERED_MS);
    let unchanged = format!(" AND (state_time IS NULL OR state_time < {})", began.millis());
    let unchanged = if indexed { &*unchanged } else { "" };
    format!(
        "(state <> {held} AND ({LIVE} OR request IS NULL OR state_time IS NULL OR state_time <= {since}){unchanged})"
    )
}

/// The columns of what of a row a gate knows.
pub const RESERVED: &str = "coupon_id, user_id, result_id, slot, hold_until, request, state_time";

/// The part of a table's rows that a gate knows, as `RESERVED` names it: of those that take a slot, and of those that answer a
/// request and gave theirs back since a moment, which is its only number. More conditions may follow.
pub fn reserved(table: TableId, numbers: Numbers, since: Timestamp) -> String {
    let since = numbers.show(since.millis());
    format!(
        "SELECT {RESERVED} FROM {table} WHERE ({LIVE} OR (request IS NOT NULL AND state_time >= {since}))"
    )
}

/// Takes a step of a result, if its row allows it. Its numbers, in order: see [`change_numbers`].
pub fn change(table: TableId, change: &Change, numbers: Numbers) -> String {
    let Transition { from, to, deadline, gives_back } = change.action.transition();
    let mut shown = change_numbers(change).into_iter().map(|number| numbers.show(number));
    let mut next = || shown.next().unwrap_or_default();
    let mut set = format!("state = {}, state_time = {}", to.code(), next());
    if gives_back.is_some() {
        set.push_str(", slot = NULL");
    }
    if let Action::Use(_) = change.action {
        let (time, cents) = (next(), next());
        set.push_str(&format!(", use_status = 1, use_time = {time}, order_amount = {cents} / 100.0"));
    }
    let (id, user) = (next(), next());
    let in_time = match deadline {
        Deadline::Any => String::new(),
        Deadline::Before => format!(" AND (hold_until IS NULL OR hold_until > {})", next()),
        Deadline::Reached => format!(" AND hold_until <= {}", next()),
    };
    format!(
        "UPDATE {table} SET {set} WHERE result_id = {id} AND user_id = {user} AND state = {}{in_time}",
        from.code()
    )
}

/// The numbers of [`change`].
pub fn change_numbers(change: &Change) -> Vec<i64> {
    let Change { user, id, action, time } = change;
    let time = time.millis();
    let mut numbers = vec![time];
    if let Action::Use(amount) = action {
        numbers.extend([time, amount.cents()]);
    }
    numbers.extend([id.number(), user.get().cast_signed()]);
    if action.transition().deadline != Deadline::Any {
        numbers.push(time);
    }
    numbers
}

/// The statement for those of these results that are still held, though they are due.
pub fn due(dialect: Dialect, table: TableId, ids: &[ResultId], now: Timestamp) -> String {
    format!("SELECT {} FROM {table} WHERE {}", columns(dialect), of_due(ids, now))
}

/// Lets them expire.
pub fn expire(table: TableId, ids: &[ResultId], now: Timestamp) -> String {
    let (to, now_ms) = (Action::Expire.transition().to.code(), now.millis());
    format!("UPDATE {table} SET state = {to}, slot = NULL, state_time = {now_ms} WHERE {}", of_due(ids, now))
}

fn of_due(ids: &[ResultId], now: Timestamp) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let from = Action::Expire.transition().from.code();
    format!("result_id IN ({}) AND state = {from} AND hold_until <= {}", ids.join(","), now.millis())
}

/// The results that are due next, the earliest first: `hold_until, result_id, table_name`. Its numbers are the time and
/// the most that are wanted.
pub const DUE: &str = "SELECT hold_until, result_id, table_name FROM holds WHERE hold_until <= ? \
                              ORDER BY hold_until, result_id LIMIT ?";

/// The tables that have results which are held.
pub const HOLDING: &str = "SELECT DISTINCT table_name FROM holds";

/// Counts the results of one table that are held, by coupon. The list of what is held leads to them: no table is read.
pub fn held(table: TableId) -> String {
    let held = ResultState::Held.code();
    format!(
        "SELECT r.coupon_id, COUNT(*) FROM holds h JOIN {table} r ON r.result_id = h.result_id \
         WHERE h.table_name = '{table}' AND r.state = {held} GROUP BY r.coupon_id"
    )
}

/// Notes that a result is held: the moment, its id, and its table.
pub const HOLD: &str =
    "INSERT INTO holds (hold_until, result_id, table_name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";

/// Strikes it off: the moment, and its id.
pub const LET_GO: &str = "DELETE FROM holds WHERE hold_until = ? AND result_id = ?";

/// The kind of a fresh result: the columns that its INSERT names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fresh {
    /// A final grab without a named request, in the first slot: the columns' defaults.
    Plain,
    /// Any other.
    Full,
}

impl Fresh {
    /// The kind of a result.
    pub fn of(result: &CouponResult) -> Self {
        let plain = Reservation::of(result) == Reservation::plain(result.result_id)
            && result.state == ResultState::Owned;
        if plain { Self::Plain } else { Self::Full }
    }
}

/// The beginning of the statement that stores fresh results of a kind, up to the first row. The columns that a row of the
/// kind gives: `result_id, user_id, coupon_id, room_id, grab_time`, and of a full one `state, slot, hold_until, request`
/// after these.
pub fn insert(table: TableId, kind: Fresh) -> String {
    let more = match kind {
        Fresh::Plain => "",
        Fresh::Full => "state, slot, hold_until, request, ",
    };
    format!(
        "INSERT INTO {table} (result_id, user_id, coupon_id, room_id, grab_time, {more}grab_status, use_status) VALUES "
    )
}

/// The end of each of its rows: the values that are the same for every fresh result.
pub fn fresh() -> String {
    format!(",{},{})", GrabStatus::Granted.code(), UseStatus::Unused.code())
}

/// Keeps a result that contradicts what is stored, unless it is kept already: its id, user, coupon and room, the table,
/// the reason, the time, and what it was granted: its slot, the request, and until when.
pub fn park(dialect: Dialect) -> String {
    format!(
        "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time, slot, request, \
         hold_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {}",
        unless_there(dialect)
    )
}

/// The parked results, in the order of [`RESERVED`]. They hold their stock where they were granted it. Conditions may follow.
pub const PARKED: &str =
    "SELECT coupon_id, user_id, result_id, COALESCE(slot, 0), hold_until, request, NULL FROM parked_results";

/// The end of an INSERT that leaves a row as it is which has one of the keys already.
pub const fn unless_there(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MySql => " ON DUPLICATE KEY UPDATE result_id = result_id",
        Dialect::Sqlite => "ON CONFLICT DO NOTHING",
    }
}

/// A number as a whole one: MySQL's decimals come as text, and SQLite's are floating.
fn whole(dialect: Dialect, number: &str) -> String {
    match dialect {
        Dialect::MySql => format!("CAST({number} AS SIGNED)"),
        Dialect::Sqlite => format!("CAST(ROUND({number}) AS INTEGER)"),
    }
}

/// The tables of results among a shard's tables, the latest first: those of days and hours sort by time, and the order
/// of others does not matter.
pub fn latest_first(names: impl IntoIterator<Item = TableId>) -> Vec<TableId> {
    let mut tables: Vec<TableId> = names.into_iter().collect();
    tables.sort_unstable_by(|a, b| b.cmp(a));
    tables
}

/// The conditions that a query puts on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// A comparison with a number, and the number.
    conditions: Vec<(&'static str, i64)>,
    by_room: bool,
}

impl Filter {
    /// The rows that a query covers.
    #[must_use]
    pub fn of(query: &ResultQuery) -> Self {
        let mut conditions = Vec::new();
        conditions.extend(query.user.map(|user| ("user_id =", user.get().cast_signed())));
        conditions.extend(query.room.map(|room| ("room_id =", room.get().cast_signed())));
        conditions.extend(query.state.map(|state| ("state =", state.code())));
        if let Some(time) = query.time {
            // An id begins with its time, so the key serves a window of time.
            let (start, end) = (ResultId::earliest_at(time.start), ResultId::earliest_at(time.end));
            conditions.extend([("result_id >=", start.number()), ("result_id <", end.number())]);
        }
        Self { conditions, by_room: query.room.is_some() }
    }

    /// The rows after the end of the page before.
    pub fn page(query: &ResultQuery, page: PageRequest) -> Self {
        let mut filter = Self::of(query);
        if let Some(before) = page.before {
            filter.conditions.push(("result_id <", before.number()));
            if filter.by_room {
                // So that the room's index leads there.
                filter.conditions.push(("grab_time <=", before.time().millis()));
            }
        }
        filter
    }

    /// Its numbers, in the order of the text.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        self.conditions.iter().map(|(_, number)| *number)
    }

    fn clause(&self, numbers: Numbers) -> String {
        let mut clause = String::new();
        for (at, (what, number)) in self.conditions.iter().enumerate() {
            clause.push_str(if at == 0 { " WHERE " } else { " AND " });
            clause.push_str(what);
            clause.push(' ');
            clause.push_str(&numbers.show(*number));
        }
        clause
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::{Money, RoomId, TimeRange, UserId};

    use super::*;

    const TABLE: TableId = TableId::Part(7);

    fn id() -> ResultId {
        ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 0, 1).unwrap()
    }

    #[test]
    fn a_number_is_written_or_bound_and_nothing_else_differs() {
        let room = ResultQuery::of_room(RoomId::new(3).unwrap());
        let filter = Filter::page(&room, PageRequest { before: Some(id()), limit: 9 });
        let bound = page(Dialect::Sqlite, TABLE, &filter, 9, Numbers::Bound);
        assert!(bound.ends_with(
            "FROM coupon_results_p7 WHERE room_id = ? AND result_id < ? AND grab_time <= ? \
             ORDER BY grab_time DESC, result_id DESC LIMIT ?"
        ));
        let mut written = bound;
        for number in filter.numbers().chain([9]) {
            written = written.replacen('?', &number.to_string(), 1);
        }
        assert_eq!(written, page(Dialect::Sqlite, TABLE, &filter, 9, Numbers::Written));
    }

    #[test]
    fn a_query_without_conditions_has_no_clause() {
        let everything = Filter::of(&ResultQuery::everything());
        assert_eq!(
            summary(TABLE, &everything, Numbers::Written),
            "SELECT COUNT(*), MAX(grab_time) FROM coupon_results_p7"
        );
    }

    #[test]
    fn a_window_is_a_range_of_the_key() {
        let (start, end) = ("2026-11-22T00:00:00Z".parse().unwrap(), "2026-11-23T00:00:00Z".parse().unwrap());
        let user = UserId::new(5).unwrap();
        let query = ResultQuery { time: Some(TimeRange::new(start, end)), ..ResultQuery::of_user(user) };
        let filter = Filter::of(&query);
        assert_eq!(filter.clause(Numbers::Bound), " WHERE user_id = ? AND result_id >= ? AND result_id < ?");
        let numbers: Vec<i64> = filter.numbers().collect();
        assert_eq!(numbers, [5, ResultId::earliest_at(start).number(), ResultId::earliest_at(end).number()]);
    }

    #[test]
    fn the_numbers_of_a_change_stand_in_the_order_of_its_statement() {
        let (user, time) = (UserId::new(5).unwrap(), id().time());
        for action in [
            Action::Confirm,
            Action::Use(Money::from_cents(5_990)),
            Action::Release,
            Action::Return,
            Action::Expire,
        ] {
            let wanted = Change { user, id: id(), action, time };
            let mut written = change(TABLE, &wanted, Numbers::Bound);
            for number in change_numbers(&wanted) {
                written = written.replacen('?', &number.to_string(), 1);
            }
            assert_eq!(written, change(TABLE, &wanted, Numbers::Written));
            assert_eq!(
                written.contains("slot = NULL"),
                action.transition().gives_back.is_some(),
                "{written}"
            );
        }
        let order = Change { user, id: id(), action: Action::Use(Money::from_cents(5_990)), time };
        assert!(change(TABLE, &order, Numbers::Written).contains("order_amount = 5990 / 100.0"));
    }

    #[test]
    fn a_row_without_a_slot_is_one_that_is_not_live() {
        // The totals and the gate know live rows by their slot; the table of transitions clears it with the state.
        for state in ResultState::ALL {
            let leads_there = |action: &Action| action.transition().to == state;
            let actions = [Action::Release, Action::Return, Action::Expire];
            assert_eq!(!state.is_live(), actions.iter().any(leads_there), "{state}");
        }
    }
}
