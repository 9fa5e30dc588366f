//! Layouts that have changed: each row is judged by the versions that there were, and rows that are moved are followed.

use coupon_audit::{AuditReport, Kind};
use coupon_core::schema::Dialect;
use coupon_core::{ResultId, TableId, Timestamp};

use crate::store::{BY_DAY, Store, TABLE_TODAY, TODAY, id, on_every_store, shard_of};

/// Each day on both shards: by their hashes, user 1 goes on as by [`BY_DAY`], and user 2 to the other shard.
const SPREAD: &str = "range of time, one table a UTC day, spread 2, 2 shards";
const TOMORROW: &str = "2026-11-23T00:00:00Z";
const THIS_MORNING: &str = "2026-11-22T06:00:00Z";

/// A version: from when on, its layout, if it receives rows, and if it is closed.
type Version = (&'static str, &'static str, bool, bool);

const FIRST: Version = ("2020-01-01T00:00:00Z", BY_DAY, false, false);

fn millis(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().millis()
}

/// Gives a store a layout of these versions.
fn with_versions<S: Store>(store: &S, versions: &[Version]) {
    store.main(
        "CREATE TABLE IF NOT EXISTS layouts (version INT NOT NULL PRIMARY KEY, valid_from BIGINT NOT NULL,
             layout TEXT NOT NULL, receives SMALLINT NOT NULL, closed SMALLINT NOT NULL, announced_at BIGINT NOT NULL,
             operator VARCHAR(64) NOT NULL, what VARCHAR(1000) NOT NULL)",
    );
    store.main("DELETE FROM layouts");
    for (number, (from, layout, receives, closed)) in versions.iter().enumerate() {
        let (number, from) = (number + 1, millis(from));
        let (receives, closed) = (u8::from(*receives), u8::from(*closed));
        store.main(&format!(
            "INSERT INTO layouts VALUES ({number}, {from}, '{layout}', {receives}, {closed}, 0, 'ann', 'a change')"
        ));
    }
}

/// Says that rows are, or were, moved.
pub(crate) fn moving<S: Store>(store: &S, runs: bool) {
    store.main(
        "CREATE TABLE IF NOT EXISTS moves (id SMALLINT NOT NULL PRIMARY KEY, to_version INT NOT NULL,
             began BIGINT NOT NULL, operator VARCHAR(64) NOT NULL, runs SMALLINT NOT NULL,
             rows_to_look_at BIGINT NOT NULL, rows_looked_at BIGINT NOT NULL, rows_moved BIGINT NOT NULL,
             rate BIGINT NOT NULL, trouble VARCHAR(1000))",
    );
    store.main("DELETE FROM moves");
    store
        .main(&format!("INSERT INTO moves VALUES (1, 2, 0, 'ann', {}, 3, 3, 1, 5000, NULL)", u8::from(runs)));
    for shard in 0..2 {
        store.shard(
            shard,
            "CREATE TABLE IF NOT EXISTS move_state (id SMALLINT NOT NULL PRIMARY KEY, batch BIGINT NOT NULL,
                 moving_from BIGINT NOT NULL, closed BIGINT NOT NULL, late BIGINT NOT NULL)",
        );
        store.shard(
            shard,
            "CREATE TABLE IF NOT EXISTS arrivals (from_shard SMALLINT NOT NULL PRIMARY KEY, batch BIGINT NOT NULL)",
        );
        store.shard(
            shard,
            "CREATE TABLE IF NOT EXISTS leaving (result_id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL,
                 coupon_id BIGINT NOT NULL, room_id BIGINT NOT NULL, grab_status SMALLINT NOT NULL,
                 fail_reason VARCHAR(32), grab_time BIGINT NOT NULL, use_status SMALLINT NOT NULL DEFAULT 0,
                 use_time BIGINT, order_amount DECIMAL(15, 2), state SMALLINT NOT NULL DEFAULT 1,
                 slot SMALLINT DEFAULT 0, hold_until BIGINT, request BIGINT, state_time BIGINT,
                 from_table VARCHAR(64) NOT NULL, to_shard SMALLINT NOT NULL, to_table VARCHAR(64) NOT NULL)",
        );
    }
}

/// Moves user 2's row of today to the other shard, as a whole.
fn move_user_2<S: Store>(store: &S) {
    let from = shard_of(TODAY);
    store.take(from, TABLE_TODAY, 2, 2);
    store.store(1 - from, TABLE_TODAY, id(TODAY, 2), 2, 2);
    store.hold(2, 2, id(TODAY, 2));
}

/// Puts a copy of user 2's row of today among those that leave its shard.
fn leaves<S: Store>(store: &S) {
    let (from, result) = (shard_of(TODAY), id(TODAY, 2));
    let time = ResultId::from_number(result).unwrap().time().millis();
    let table = TableId::parse(TABLE_TODAY).unwrap();
    store.shard(
        from,
        &format!(
            "INSERT INTO leaving (result_id, user_id, coupon_id, room_id, grab_status, grab_time, from_table, to_shard,
                 to_table) VALUES ({result}, 2, 2, 1, 1, {time}, '{table}', {}, '{table}')",
            1 - from
        ),
    );
    store.counts(from);
}

fn assert_sound(report: &AuditReport) {
    assert!(report.findings.is_empty() && !report.not_checked.contains_key(&Kind::Misplaced), "{report}");
}

fn a_row_is_judged_by_the_version_of_its_time<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, false, false)]);
    assert_sound(&store.audit());
    with_versions(&store, &[FIRST, (THIS_MORNING, SPREAD, false, false)]);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1), "{text}");
    assert!(
        text.contains("user 2") && text.contains(&format!("belongs on shard {}", 1 - shard_of(TODAY))),
        "{text}"
    );
}

fn while_rows_are_moved_each_is_at_one_of_two_places_and_afterwards_at_home<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, true, false)]);
    moving(&store, true);
    assert_sound(&store.audit());
    move_user_2(&store);
    assert_sound(&store.audit());
    moving(&store, false);
    with_versions(&store, &[(FIRST.0, BY_DAY, false, true), (TOMORROW, SPREAD, true, false)]);
    // Today's row of user 1 and yesterday's of user 3 are where both versions say, or are not.
    let report = store.audit();
    assert_eq!(report.count(Kind::Misplaced), misplaced_by_spread(), "{report}");
    let text = format!("{report}");
    assert!(!text.contains("user 2, coupon 2 ("), "{text}");
}

/// Yesterday's row of user 3 is on the other shard by [`SPREAD`] if that user's hash says so.
fn misplaced_by_spread() -> u64 {
    let hash = xxhash_rust::xxh3::xxh3_64(&3_u64.to_le_bytes());
    hash % 2
}

fn a_row_that_was_moved_without_a_version_that_says_so_is_misplaced<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, false, false)]);
    moving(&store, false);
    move_user_2(&store);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1), "{text}");
}

fn a_row_that_leaves_its_shard_is_stored_once_wherever_it_is_found<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, true, false)]);
    moving(&store, true);
    leaves(&store);
    store.take(shard_of(TODAY), TABLE_TODAY, 2, 2);
    store.hold(2, 2, id(TODAY, 2));
    assert_sound(&store.audit());
    store.store(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 2), 2, 2);
    assert_sound(&store.audit());
    // Once no rows are moved any more, it must have arrived for good.
    moving(&store, false);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1), "{text}");
    assert!(text.contains("it left for shard"), "{text}");
}

/// A process that was killed leaves rows on their way, and another brings them to where they go whether or not more are to move.
fn a_row_that_arrives_after_a_movement_was_stopped_is_stored_once<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, true, false)]);
    moving(&store, false);
    assert_eq!(shard_of(TODAY), 1, "it goes to the shard that is held first");
    leaves(&store);
    store.take(1, TABLE_TODAY, 2, 2);
    store.hold(2, 2, id(TODAY, 2));
    store.shard(1, "INSERT INTO move_state VALUES (1, 1, 1, 0, 0)");
    let arrives = |store: &S| {
        store.shard(0, "INSERT INTO arrivals VALUES (1, 1)");
        store.store(0, TABLE_TODAY, id(TODAY, 2), 2, 2);
    };
    let counted = match S::DIALECT {
        Dialect::MySql => "; UPDATE shard_state SET results = results - 1",
        Dialect::Sqlite => "",
    };
    assert_sound(&store.audit_around(arrives, &format!("DELETE FROM leaving{counted}")));
}

fn a_row_that_is_at_both_places_without_leaving_one_is_a_duplicate<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, true, false)]);
    moving(&store, true);
    store.store(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 2), 2, 2);
    let report = store.audit();
    assert!(report.count(Kind::Duplicate) > 0, "{report}");
}

fn a_row_that_was_lost_while_it_was_moved_is_missed<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, SPREAD, true, false)]);
    moving(&store, true);
    store.take(shard_of(TODAY), TABLE_TODAY, 2, 2);
    let report = store.audit();
    assert_eq!(report.count(Kind::Lost), 1, "{report}");
    assert!(
        report.count(Kind::Miscounted) > 0 && format!("{report}").contains("that no shard has"),
        "{report}"
    );
}

fn a_version_that_is_not_known_is_not_guessed<S: Store>() {
    let store = S::sound();
    with_versions(&store, &[FIRST, (TOMORROW, "jump of user_id, 2 shards", false, false)]);
    let report = store.audit();
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.not_checked[&Kind::Misplaced].contains("jump of user_id"), "{report}");
}

on_every_store! {
    a_row_is_judged_by_the_version_of_its_time,
    while_rows_are_moved_each_is_at_one_of_two_places_and_afterwards_at_home,
    a_row_that_was_moved_without_a_version_that_says_so_is_misplaced,
    a_row_that_leaves_its_shard_is_stored_once_wherever_it_is_found,
    a_row_that_arrives_after_a_movement_was_stopped_is_stored_once,
    a_row_that_is_at_both_places_without_leaving_one_is_a_duplicate,
    a_row_that_was_lost_while_it_was_moved_is_missed,
    a_version_that_is_not_known_is_not_guessed,
}
