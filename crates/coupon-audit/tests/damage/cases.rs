//! One set of damages for every kind of store: each is a promise broken by hand, in data that is otherwise sound.

use std::collections::BTreeMap;

use coupon_audit::{AuditReport, Claim, Claims, Data, Kind, Scope, Start, UseTold, fetch};
use coupon_core::{ResultId, Timestamp};

use crate::folder::Folder;
use crate::site::Site;

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
pub(crate) trait Store: Sized {
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
    /// Lets a user hold a coupon in the gate, where there is one.
    fn hold(&self, user: u64, coupon: u64, result: i64);
    /// Sets a field of what the gate has of a coupon, where there is one.
    fn gate_has(&self, coupon: u64, field: &str, value: &str);
    /// Drops the index that keeps a user's coupon from being stored twice.
    fn drop_unique(&self, shard: usize, table: &str);
    fn data(&self) -> Data;
    fn scope<'a>(&'a self, start: Option<&'a Start>) -> Scope<'a>;

    /// Two acknowledged grabs of today, one of yesterday, stored where they belong and applied to main.
    fn sound() -> Self {
        let mut store = Self::new();
        store.grab(TODAY, 1, 1);
        store.grab(TODAY, 2, 2);
        store.grab(YESTERDAY, 3, 1);
        store.claims().add(4, 1, Claim::Refused);
        store
    }

    /// A grab as a service does it.
    fn grab(&mut self, time: &str, user: u64, coupon: u64) {
        let result = id(time, u16::try_from(user).unwrap());
        let table = if time == TODAY { TABLE_TODAY } else { TABLE_YESTERDAY };
        self.store(shard_of(time), table, result, user, coupon);
        self.post(shard_of(time), coupon);
        self.hold(user, coupon, result);
        self.claims().add(user, coupon, Claim::Granted(result));
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

    fn audit(&self) -> AuditReport {
        self.data().audit(&self.scope(None)).unwrap()
    }

    fn audit_since(&self, start: &Start) -> AuditReport {
        self.data().audit(&self.scope(Some(start))).unwrap()
    }

    fn only(&self) -> (Kind, u64, String) {
        only(&self.audit())
    }
}

/// Damages a sound store by SQL, and finds exactly that.
fn damage<S: Store>(sql_of: impl Fn(&S), kind: Kind, said: &str) {
    let store = S::sound();
    sql_of(&store);
    let (found, _, text) = store.only();
    assert_eq!(found, kind, "{text}");
    assert!(text.contains(said), "{text:?} does not say {said:?}");
}

/// Damages by what is done to today's first row.
fn row(set: &str) -> String {
    format!("UPDATE {TABLE_TODAY} SET {set} WHERE user_id = 1")
}

fn made_up_uses<S: Store>() {
    for (set, said) in [
        ("use_status = 1", "contradicts itself"),
        ("use_time = 1", "contradicts itself"),
        ("order_amount = 5", "contradicts itself"),
        ("use_status = 1, use_time = grab_time + 1000, order_amount = 5", "nobody asked for that"),
    ] {
        let store = S::sound();
        store.shard(shard_of(TODAY), &row(set));
        let report = store.audit();
        let spent = report.findings.get(&Kind::Spent).unwrap_or_else(|| panic!("{set}: {report}"));
        assert!(spent.examples[0].contains(said), "{set}: {report}");
    }
}

/// A shard's own count of uses, where it counts.
fn use_first<S: Store>(store: &mut S, cents: i64) -> (i64, i64) {
    let result = id(TODAY, 1);
    let time = ResultId::from_number(result).unwrap().time().millis() + 1_000;
    let amount = cents as f64 / 100.0;
    let set = format!("use_status = 1, use_time = {time}, order_amount = {amount}");
    store.shard(shard_of(TODAY), &row(&set));
    (result, time)
}

fn uses_as_acknowledged<S: Store>() {
    let spent = |store: &S, start: Option<&Start>| {
        let report = store.data().audit(&store.scope(start)).unwrap();
        report.findings.get(&Kind::Spent).map(|found| found.examples.join("\n")).unwrap_or_default()
    };
    let mut store = S::sound();
    let start = store.data().remember().unwrap();
    let (result, time) = use_first(&mut store, 590);
    assert!(spent(&store, Some(&start)).contains("has been used since, and nobody asked"));
    store.claims().add_use(1, result, UseTold::Used { cents: 590, time: Some(time) });
    assert_eq!(spent(&store, Some(&start)), "");
    assert_eq!(spent(&store, None), "");
    // Another amount; forgotten; made up where the answer is not known.
    store.shard(shard_of(TODAY), &row("order_amount = 6"));
    assert!(spent(&store, None).contains("acknowledged with use_status 1"));
    store.shard(shard_of(TODAY), &row("use_status = 0, use_time = NULL, order_amount = NULL"));
    assert!(spent(&store, None).contains("order_amount null"));
    // Of a result that is not there.
    store.claims().add_use(9, 77, UseTold::UsedBefore);
    assert!(spent(&store, None).contains("user 9 was told that result 77 is used"));
}

fn breaches_of_the_books<S: Store>() {
    let today = shard_of(TODAY);
    for (sql, said) in [
        ("UPDATE stock_logs SET stock_before = 8, stock_after = 7 WHERE coupon_id = 2 AND operation_type = 2".to_owned(), "no chain"),
        (format!("UPDATE stock_logs SET shard = {} WHERE coupon_id = 2 AND shard = {today}", 1 - today), "coupon 2"),
        ("UPDATE stock_logs SET shard = 7 WHERE coupon_id = 2 AND shard IS NOT NULL".to_owned(), "it names shard 7, of 2"),
        ("UPDATE stock_logs SET operator = 'archive' WHERE coupon_id = 2 AND operation_type = 2".to_owned(), "came of no outbox"),
        ("UPDATE stock_logs SET outbox_id = 99 WHERE coupon_id = 2 AND operation_type = 2".to_owned(), "entry 99"),
        ("DELETE FROM stock_logs WHERE log_id = 2".to_owned(), "begins is missing"),
        ("DELETE FROM stock_logs WHERE coupon_id = 2 AND operation_type = 2".to_owned(), "the stock log deducts 0"),
        ("INSERT INTO stock_logs VALUES (99, 77, 1, 0, 5, 'x', NULL, NULL, 0)".to_owned(), "coupon 77, which is not in the catalogue"),
        ("UPDATE coupons SET total_stock = 15, remaining_stock = remaining_stock + 5 WHERE coupon_id = 2".to_owned(), "a total of 10, but total is 15"),
        ("UPDATE outbox_positions SET outbox_id = 500".to_owned(), "up to 500, and its last entry is"),
    ] {
        damage::<S>(|store| store.main(&sql), Kind::Miscounted, said);
    }
}

fn grabs_against_the_rules<S: Store>() {
    for (sql, said) in [
        ("DELETE FROM users WHERE user_id = 2", "no such user"),
        (
            "UPDATE coupons SET start_time = 1900000000000, end_time = 1900000000001 WHERE coupon_id = 2",
            "before its coupon's window",
        ),
        ("UPDATE coupons SET end_time = 5 WHERE coupon_id = 2", "after its coupon's window"),
    ] {
        // The gate's copy of it is checked apart.
        let store = S::sound();
        store.main(sql);
        let report = Scope { drained: false, ..store.scope(None) };
        let (kind, count, text) = only(&store.data().audit(&report).unwrap());
        assert_eq!((kind, count), (Kind::Misjudged, 1), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

fn edits_of_the_catalogue<S: Store>() {
    let mut store = S::sound();
    store.main("UPDATE coupons SET status = 0 WHERE coupon_id = 2");
    store.gate_has(2, "e", "0");
    let start = store.data().remember().unwrap();
    assert_eq!(store.audit_since(&start).violations(), 0);
    // A window that was moved, or a room, is no fault of what was sold before.
    store.main("UPDATE coupons SET start_time = 1900000000000, room_id = 9 WHERE coupon_id = 2");
    assert_eq!(store.audit_since(&start).violations(), 0, "{}", store.audit_since(&start));
    store.grab(TODAY, 9, 2);
    let (kind, _, text) = only(&store.audit_since(&start));
    assert_eq!(kind, Kind::Misjudged);
    assert!(text.contains("withdrawn before"), "{text}");
}

fn rooms_that_results_go_to<S: Store>() {
    let store = S::sound();
    store.main("INSERT INTO coupon_rooms (coupon_id, room_id) VALUES (1, 1), (2, 1)");
    store.main("UPDATE coupons SET room_id = 9");
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
    store.shard(shard_of(TODAY), &row("room_id = 9"));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1), "{text}");
    assert!(text.contains("it names room 9, the coupon's is 1"), "{text}");
    // Data that no service has opened since there is such a table is audited as well.
    let store = S::sound();
    store.main("DROP TABLE coupon_rooms");
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
}

fn what_was_there_at_the_start<S: Store>() {
    let store = S::sound();
    let start = store.data().remember().unwrap();
    assert_eq!(start.newest(), id(TODAY, 2));
    assert_eq!(store.audit_since(&start).violations(), 0);
    store.main("UPDATE stock_logs SET create_time = 1, operator = 'nobody' WHERE log_id = 1");
    let (kind, _, text) = only(&store.audit_since(&start));
    assert_eq!(
        (kind, text.as_str()),
        (Kind::Miscounted, "line 1 of the stock log is not what it was at the start")
    );
}

fn told_wrongly<S: Store>() {
    let mut store = S::sound();
    store.claims().add(1, 1, Claim::Held(Some(id(TODAY, 1))));
    assert_eq!(store.audit().violations(), 0);
    store.claims().add(1, 1, Claim::Held(Some(77)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misjudged, 1));
    assert!(text.contains("as result 77; stored is"), "{text}");
    let mut store = S::sound();
    let at = |time: &str| Claim::InvalidTime(Some(time.parse().unwrap()));
    store.main("UPDATE coupons SET end_time = end_time - 7200000");
    store.claims().add(5, 1, at("2036-01-01T00:00:00Z"));
    store.claims().add(5, 1, Claim::InvalidTime(None));
    assert_eq!(store.audit().count(Kind::Misjudged), 0);
    store.claims().add(6, 1, at(TODAY));
    let report = store.audit();
    let text = report.findings.get(&Kind::Misjudged).unwrap().examples.join("\n");
    assert!(text.contains("user 6 was told at 2026-11-22T12:00:00.000Z that coupon 1 cannot"), "{text}");
}

fn a_missing_unique_index<S: Store>() {
    let store = S::sound();
    store.drop_unique(1, TABLE_TODAY);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Unguarded, 1));
    assert!(text.contains("unique index on (user_id, coupon_id)"), "{text}");
}

/// A service's view of a result.
fn view(result: i64, user: u64, coupon: u64) -> serde_json::Value {
    serde_json::json!({
        "result_id": result.to_string(), "user_id": user, "coupon_id": coupon, "room_id": 1, "grab_status": 1,
        "fail_reason": null, "grab_time": ResultId::from_number(result).unwrap().time().to_string(),
        "use_status": 0, "use_time": null, "order_amount": null,
    })
}

/// The answers of a sound service about a sound store, today's two results and yesterday's one, by path.
fn answers() -> BTreeMap<&'static str, serde_json::Value> {
    let views = || [view(id(TODAY, 2), 2, 2), view(id(TODAY, 1), 1, 1), view(id(YESTERDAY, 3), 3, 1)];
    let page = |items: Vec<serde_json::Value>| serde_json::json!({ "items": items, "next_cursor": null, "partial": false });
    let of_user = |user: usize| page(vec![views()[user].clone()]);
    let sums = |results: i64| serde_json::json!({ "results": results, "used": 0, "order_amount": 0.0 });
    let shards: Vec<serde_json::Value> = (0..2)
        .map(|shard| {
            let results = if shard == shard_of(TODAY) { 2 } else { 1 };
            serde_json::json!({ "shard": shard, "results": results, "used": 0, "order_amount": 0.0 })
        })
        .collect();
    let mut global = sums(3);
    global["shards"] = shards.into();
    global["partial"] = false.into();
    let last = ResultId::from_number(id(TODAY, 2)).unwrap().time().to_string();
    BTreeMap::from([
        ("/api/user/2/", of_user(0)),
        ("/api/user/1/", of_user(1)),
        ("/api/user/3/", of_user(2)),
        ("/api/room/1/orders", page(views().to_vec())),
        (
            "/api/room/1/stats",
            serde_json::json!({ "results": 3, "last_grab_time": last, "partial": false, "age_ms": 0 }),
        ),
        ("/api/orders/recent", page(Vec::new())),
        ("/api/statistics/global", global),
    ])
}

/// The audit's findings about read endpoints that answer so.
fn told_by<S: Store>(store: &mut S, answers: &BTreeMap<&str, serde_json::Value>) -> String {
    let asked = store.data().sample(store.claims()).unwrap();
    let reads = fetch(&asked, |path| {
        if let Some(result) = path.strip_prefix("/api/result/") {
            let user = (1..=3)
                .find(|user| [TODAY, YESTERDAY].iter().any(|day| id(day, *user).to_string() == result));
            let user = user.unwrap();
            let coupon = if user == 2 { 2 } else { 1 };
            let result = view(result.parse().unwrap(), user.into(), coupon);
            return Ok((200, serde_json::json!({ "result": result }).to_string().into_bytes()));
        }
        let (_, answer) = answers.iter().find(|(beginning, _)| path.starts_with(**beginning)).unwrap();
        Ok((200, answer.to_string().into_bytes()))
    })
    .unwrap();
    let report = store.data().audit(&Scope { reads: Some(&reads), ..store.scope(None) }).unwrap();
    assert!(report.findings.keys().all(|kind| *kind == Kind::Misread), "{report}");
    report.findings.get(&Kind::Misread).map(|found| found.examples.join("\n")).unwrap_or_default()
}

fn reads_that_tell_otherwise<S: Store>() {
    type Damage = fn(&mut serde_json::Value);
    let mut store = S::sound();
    assert_eq!(told_by(&mut store, &answers()), "");
    let damages: [(&str, Damage, &str); 9] = [
        (
            "/api/user/1/",
            |page| page["items"] = serde_json::json!([]),
            "of user 1, coupon 1 is stored, and not in it",
        ),
        (
            "/api/room/1/orders",
            |page| {
                page["items"].as_array_mut().unwrap().remove(1);
            },
            "is stored, and not in it",
        ),
        ("/api/room/1/orders", |page| page["items"].as_array_mut().unwrap().swap(0, 1), "not in order"),
        ("/api/user/2/", |page| page["items"][0]["order_amount"] = 5.into(), "order_amount 5.00; stored is"),
        ("/api/user/2/", |page| page["items"][0]["room_id"] = 7.into(), "room 7"),
        ("/api/user/3/", |page| page["items"][0] = view(id(TODAY, 1), 1, 1), "was not asked for"),
        (
            "/api/orders/recent",
            |page| page["items"] = serde_json::json!([view(id(TODAY, 9), 9, 1)]),
            "is in it, and not stored",
        ),
        ("/api/room/1/stats", |stats| stats["results"] = 4.into(), "4 results, the last at"),
        ("/api/statistics/global", |sums| sums["shards"][0]["results"] = 9.into(), "shard 0: 9 results"),
    ];
    for (path, damage, said) in damages {
        let mut damaged = answers();
        damage(damaged.get_mut(path).unwrap());
        let found = told_by(&mut store, &damaged);
        assert!(
            found.contains(said) && found.contains(&format!("GET {}", path.trim_end_matches('/'))),
            "{path}: {found:?}"
        );
    }
}

/// Each of them on every kind of store.
macro_rules! on_every_store {
    ($($case:ident as $name:ident),* $(,)?) => {
        mod files {
            use super::*;
            $(#[test] fn $name() { $case::<Folder>(); })*
        }
        mod servers {
            use super::*;
            $(#[test] fn $name() { $case::<Site>(); })*
        }
    };
}

on_every_store! {
    made_up_uses as a_use_that_is_made_up_is_found,
    uses_as_acknowledged as a_use_is_stored_as_it_was_acknowledged,
    breaches_of_the_books as each_breach_of_the_law_of_the_books_is_found,
    grabs_against_the_rules as a_grab_outside_the_window_or_of_nobody_is_found,
    edits_of_the_catalogue as a_catalogue_that_was_edited_is_no_fault_of_older_rows,
    rooms_that_results_go_to as a_coupon_that_was_moved_is_no_fault_of_its_rows_and_another_room_is,
    what_was_there_at_the_start as the_log_is_only_ever_added_to,
    told_wrongly as a_duplicate_under_a_wrong_id_and_a_time_that_was_right_are_found,
    reads_that_tell_otherwise as a_read_endpoint_that_tells_otherwise_than_is_stored_is_found,
    a_missing_unique_index as a_table_without_its_unique_index_is_found,
}
