//! A data set that can be damaged by hand, whichever kind of store holds it.

use coupon_audit::{AuditReport, Claims, Data, GrabClaim, Kind, Scope, StartState};
use coupon_core::schema::Dialect;
use coupon_core::{ResultId, Timestamp};

pub(crate) const TODAY: &str = "2026-11-22T12:00:00Z";
pub(crate) const YESTERDAY: &str = "2026-11-21T12:00:00Z";
pub(crate) const TABLE_TODAY: &str = "coupon_results_2026_11_22";
pub(crate) const TABLE_YESTERDAY: &str = "coupon_results_2026_11_21";

/// The coupons 1 and 2 of room 1, ten of each, until END.
pub(crate) const CATALOGUE: [&str; 2] = [
    "INSERT INTO coupons (coupon_id, room_id, coupon_name, coupon_type, total_stock, remaining_stock, start_time,
         end_time, create_time, update_time)
     VALUES (1, 1, 'a', 1, 10, 10, 0, END, 0, 0), (2, 1, 'b', 1, 10, 10, 0, END, 0, 0)",
    "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, create_time)
     VALUES (1, 1, 1, 0, 10, 'seeder', 0), (2, 2, 1, 0, 10, 'seeder', 0)",
];

/// The statement that makes the users 1 to 200.
pub(crate) fn people() -> String {
    let people: Vec<String> = (1..=200).map(|id| format!("({id}, 'u', '', '', 0)")).collect();
    format!("INSERT INTO users (user_id, username, phone, email, register_time) VALUES {}", people.join(","))
}

/// An hour from now, in milliseconds since 1970.
pub(crate) fn end() -> String {
    (jiff::Timestamp::now().as_millisecond() + 3_600_000).to_string()
}

/// The layout line of a data set of two shards that has one table a day.
pub(crate) const BY_DAY: &str = "range of time, one table a UTC day, spread 1, 2 shards";

pub(crate) fn id(time: &str, sequence: u16) -> i64 {
    ResultId::from_parts(time.parse().unwrap(), 1, sequence).unwrap().number()
}

/// The shard of a day when there are two.
pub(crate) fn shard_of(time: &str) -> usize {
    let day = time.parse::<Timestamp>().unwrap().day();
    usize::try_from(day.number() % 2).unwrap()
}

/// The statement that stores a row.
pub(crate) fn stored(table: &str, result: i64, user: u64, coupon: u64) -> String {
    let time = ResultId::from_number(result).unwrap().time().millis();
    format!(
        "INSERT INTO {table} (result_id, user_id, coupon_id, room_id, grab_status, grab_time)
         VALUES ({result}, {user}, {coupon}, 1, 1, {time})"
    )
}

/// The statement that removes one.
pub(crate) fn taken(table: &str, user: u64, coupon: u64) -> String {
    format!("DELETE FROM {table} WHERE user_id = {user} AND coupon_id = {coupon}")
}

/// The only kind of violation there is, how often, and its examples.
pub(crate) fn only(report: &AuditReport) -> (Kind, u64, String) {
    assert_eq!(report.findings.len(), 1, "{report}");
    let (kind, finding) = report.findings.first_key_value().unwrap();
    (*kind, finding.count, finding.examples.join("\n"))
}

/// A data set that can be damaged: two shards, two daily tables on each, the coupons of [`CATALOGUE`].
pub(crate) trait Store: Sized + Sync {
    /// The SQL that its databases understand.
    const DIALECT: Dialect;
    /// The words by which errors name the second shard.
    const SECOND_SHARD: &str;

    /// One in which nothing was grabbed.
    fn new() -> Self;
    fn claims(&mut self) -> &mut Claims;
    fn main(&self, sql: &str);
    fn shard(&self, shard: usize, sql: &str);
    /// Stores a row.
    fn store(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64);
    /// Removes the row of a user and a coupon, and the hold in the gate with it.
    fn take(&self, shard: usize, table: &str, user: u64, coupon: u64);
    /// Adds an entry to a shard's outbox.
    fn note(&self, shard: usize, coupon: u64);
    /// Removes the entries of a shard's outbox that main has applied.
    fn forget(&self, shard: usize);
    /// Adds to a shard's own count of results, where it keeps count.
    fn counts(&self, shard: usize);
    /// Adds so many to a shard's own count of results that gave their stock back, where it keeps count.
    fn gave_back(&self, shard: usize, rows: i64);
    /// Lets go of a user's hold of a coupon in the gate, where there is one.
    fn let_go(&self, user: u64, coupon: u64);
    /// Adds an entry to a shard's outbox that says how one gave its stock back.
    fn note_back(&self, shard: usize, coupon: u64, how: &str);
    /// Lets a user hold a coupon in the gate, where there is one.
    fn hold(&self, user: u64, coupon: u64, result: i64) {
        self.hold_in(user, coupon, 0, result);
    }
    /// Lets a user hold a coupon in a slot in the gate, where there is one.
    fn hold_in(&self, user: u64, coupon: u64, slot: u8, result: i64);
    /// Sets a field of what the gate has of a coupon, where there is one.
    fn gate_has(&self, coupon: u64, field: &str, value: &str);
    /// Drops the index that keeps a user's coupon from being stored twice.
    fn drop_unique(&self, shard: usize, table: &str);
    fn data(&self) -> Data;
    /// An audit that has the first shard held, and not yet the second, when the rest is done: something by the store, and these
    /// statements on the second shard.
    fn audit_around(&self, first: impl FnOnce(&Self), second: &str) -> AuditReport;
    /// All the answers that clients got, after draining.
    fn scope<'a>(&'a self, start: Option<&'a StartState>) -> Scope<'a>;

    /// Two acknowledged grabs of today, one of yesterday, stored where they belong and applied to main.
    fn sound() -> Self {
        let mut store = Self::new();
        store.grab(TODAY, 1, 1);
        store.grab(TODAY, 2, 2);
        store.grab(YESTERDAY, 3, 1);
        store.claims().add(4, 1, GrabClaim::Refused);
        store
    }

    /// A grab as a service does it.
    fn grab(&mut self, time: &str, user: u64, coupon: u64) {
        let result = id(time, u16::try_from(user).unwrap());
        let table = if time == TODAY { TABLE_TODAY } else { TABLE_YESTERDAY };
        self.add(shard_of(time), table, result, user, coupon);
        self.claims().add(user, coupon, GrabClaim::Granted(result));
    }

    /// Stores a row that the gate grants and main counts.
    fn add(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64) {
        self.store(shard, table, result, user, coupon);
        self.post(shard, coupon);
        self.hold(user, coupon, result);
    }

    /// Posts one row to main.
    fn post(&self, shard: usize, coupon: u64) {
        self.note(shard, coupon);
        self.apply(shard, coupon);
        self.forget(shard);
    }

    /// Takes one from a coupon's stock, and logs it, as the next entry of a shard's outbox says.
    fn apply(&self, shard: usize, coupon: u64) {
        self.main(&format!("UPDATE outbox_positions SET outbox_id = outbox_id + 1 WHERE shard = {shard}"));
        self.main(&format!(
            "INSERT INTO stock_logs SELECT (SELECT MAX(log_id) + 1 FROM stock_logs), coupon_id, 2, remaining_stock,
                 remaining_stock - 1, 'grab', {shard},
                 (SELECT outbox_id FROM outbox_positions WHERE shard = {shard}), 0
             FROM coupons WHERE coupon_id = {coupon}"
        ));
        self.main(&format!(
            "UPDATE coupons SET remaining_stock = remaining_stock - 1 WHERE coupon_id = {coupon}"
        ));
    }

    /// Gives one back to a coupon's stock, and logs it, as the next entry of a shard's outbox says.
    fn apply_back(&self, shard: usize, coupon: u64, how: &str) {
        self.note_back(shard, coupon, how);
        self.main(&format!("UPDATE outbox_positions SET outbox_id = outbox_id + 1 WHERE shard = {shard}"));
        self.main(&format!(
            "INSERT INTO stock_logs SELECT (SELECT MAX(log_id) + 1 FROM stock_logs), coupon_id, 3, remaining_stock,
                 remaining_stock + 1, '{how}', {shard},
                 (SELECT outbox_id FROM outbox_positions WHERE shard = {shard}), 0
             FROM coupons WHERE coupon_id = {coupon}"
        ));
        self.main(&format!(
            "UPDATE coupons SET remaining_stock = remaining_stock + 1 WHERE coupon_id = {coupon}"
        ));
        self.forget(shard);
    }

    fn audit(&self) -> AuditReport {
        self.data().audit(&self.scope(None)).unwrap()
    }

    fn audit_since(&self, start: &StartState) -> AuditReport {
        self.data().audit(&self.scope(Some(start))).unwrap()
    }

    fn only(&self) -> (Kind, u64, String) {
        only(&self.audit())
    }
}

/// Damages a sound store by SQL, and finds exactly that.
pub(crate) fn damage<S: Store>(sql_of: impl Fn(&S), kind: Kind, said: &str) {
    let store = S::sound();
    sql_of(&store);
    let (found, _, text) = store.only();
    assert_eq!(found, kind, "{text}");
    assert!(text.contains(said), "{text:?} does not say {said:?}");
}

/// Damages by what is done to today's first row.
pub(crate) fn row(set: &str) -> String {
    format!("UPDATE {TABLE_TODAY} SET {set} WHERE user_id = 1")
}

/// Makes a test of each of these functions on every kind of store.
macro_rules! on_every_store {
    ($($case:ident),* $(,)?) => {
        mod files {
            $(#[test] fn $case() { super::$case::<crate::folder::Folder>(); })*
        }
        mod servers {
            $(#[test] fn $case() { super::$case::<crate::site::Site>(); })*
        }
    };
}
pub(crate) use on_every_store;
