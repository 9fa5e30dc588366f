//! Archives that took what the record of changes and the stock log do not say, or what they were not to take.

use coupon_audit::{AuditReport, Kind};
use coupon_core::catalogue_change::results_archived;
use coupon_core::{Day, Timestamp};

use crate::store::{Store, TABLE_YESTERDAY, TODAY, YESTERDAY, id, on_every_store, only, shard_of};

/// The users whose results of yesterday are archived.
const USERS: [u64; 2] = [3, 5];

/// The moment from which coupon 1 is over, and archived.
fn over() -> i64 {
    TODAY.parse::<Timestamp>().unwrap().millis()
}

/// Two results of yesterday, of a coupon that is over, and one of another coupon.
fn sold<S: Store>() -> S {
    let store = S::new();
    store.main(&format!("UPDATE coupons SET end_time = {} WHERE coupon_id = 1", over()));
    store.gate_has(1, "e", &over().to_string());
    for (user, coupon) in USERS.map(|user| (user, 1)).into_iter().chain([(7, 2)]) {
        let result = id(YESTERDAY, u16::try_from(user).unwrap());
        store.add(shard_of(YESTERDAY), TABLE_YESTERDAY, result, user, coupon);
    }
    store
}

/// Has main know of an archive of both results of coupon 1, in the lines 14 and 15 of its log.
fn note_archive<S: Store>(store: &S) {
    let shard = shard_of(YESTERDAY);
    store.note(shard, 1);
    store.main(&format!("UPDATE outbox_positions SET outbox_id = 4 WHERE shard = {shard}"));
    store.forget(shard);
    store.main(&format!(
        "INSERT INTO stock_logs VALUES (14, 1, 3, 8, 10, 'archive', {shard}, 4, 0),
             (15, 1, 1, 10, 8, 'archive', {shard}, 4, 0)"
    ));
    store.main("UPDATE coupons SET total_stock = 8, remaining_stock = 8 WHERE coupon_id = 1");
}

/// Has the record of changes name archives, from this line of the log on: for each the time, and its words.
fn named<S: Store>(store: &S, from: i64, archives: &[(i64, String)]) {
    store.main("DELETE FROM meta WHERE name = 'archives_named_from'");
    store.main(&format!("INSERT INTO meta (name, value) VALUES ('archives_named_from', '{from}')"));
    store.main("DELETE FROM catalogue_changes");
    for (version, (time, what)) in (1..).zip(archives) {
        store.main(&format!(
            "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id)
                 VALUES ({version}, {time}, 'archive', '{what}', 1)"
        ));
    }
}

fn of(results: i64) -> String {
    results_archived(results, TODAY.parse::<Timestamp>().unwrap().day())
}

/// The data set after an archive of both results.
fn archived<S: Store>() -> S {
    let store = sold::<S>();
    for user in USERS {
        store.take(shard_of(YESTERDAY), TABLE_YESTERDAY, user, 1);
    }
    note_archive(&store);
    store
}

/// The one thing that is wrong of a coupon.
fn miscounted(report: &AuditReport) -> String {
    let (kind, count, text) = only(report);
    assert_eq!((kind, count), (Kind::Miscounted, 1), "{text}");
    text
}

fn a_total_that_an_archive_lowered_is_told_of_by_the_record_of_changes<S: Store>() {
    let store = archived::<S>();
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
    // The line of the log from which on the record of changes names archives.
    named(&store, 15, &[]);
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
    named(&store, 13, &[]);
    let text = miscounted(&store.audit());
    assert!(text.contains("line 15 of the stock log") && text.contains("names no archive of it"), "{text}");
    for archives in [vec![(over(), of(2))], vec![(over(), of(1)), (over() + 1, of(1))]] {
        named(&store, 13, &archives);
        assert_eq!(store.audit().violations(), 0, "{}", store.audit());
    }
}

fn an_archive_of_more_than_it_named_is_found<S: Store>() {
    let store = archived::<S>();
    for (what, results) in [(of(1), 1), ("something".to_owned(), 0)] {
        named(&store, 13, &[(over(), what)]);
        let text = miscounted(&store.audit());
        let said = format!("by 2 results that were archived, and the record of changes names {results}");
        assert!(text.contains(&said), "{text}");
    }
}

fn an_archive_of_a_coupon_on_offer_is_found<S: Store>() {
    let store = archived::<S>();
    named(&store, 13, &[(over() - 1, of(2))]);
    let text = miscounted(&store.audit());
    assert!(
        text.contains("coupon 1: results of it were archived at") && text.contains("on offer until"),
        "{text}"
    );
}

fn an_archive_of_days_that_it_keeps_is_found<S: Store>() {
    let store = sold::<S>();
    let start = store.data().remember().unwrap();
    for user in USERS {
        store.take(shard_of(YESTERDAY), TABLE_YESTERDAY, user, 1);
    }
    note_archive(&store);
    named(&store, 13, &[(over(), of(2))]);
    assert_eq!(store.audit_since(&start).violations(), 0, "{}", store.audit_since(&start));
    let yesterday: Day = YESTERDAY.parse::<Timestamp>().unwrap().day();
    named(&store, 13, &[(over(), results_archived(2, yesterday))]);
    let (kind, count, text) = only(&store.audit_since(&start));
    assert_eq!((kind, count), (Kind::Lost, 2), "{text}");
    assert!(text.contains("of a day that every archive keeps"), "{text}");
}

fn an_archive_of_more_rows_than_it_told_is_found<S: Store>() {
    let store = archived::<S>();
    named(&store, 13, &[(over(), of(2))]);
    store.take(shard_of(YESTERDAY), TABLE_YESTERDAY, 7, 2);
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted, "{text}");
    assert!(text.contains("coupon 2: total 10 − remaining 9 + not yet told 0 = 1, but 0 rows"), "{text}");
}

fn an_archive_of_another_coupon_than_it_told_is_found_at_both<S: Store>() {
    let store = sold::<S>();
    store.take(shard_of(YESTERDAY), TABLE_YESTERDAY, 3, 1);
    store.take(shard_of(YESTERDAY), TABLE_YESTERDAY, 7, 2);
    note_archive(&store);
    named(&store, 13, &[(over(), of(2))]);
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted, "{text}");
    for said in ["coupon 1: total 8 − remaining 8 + not yet told 0 = 0, but 1 rows", "coupon 2: total 10"] {
        assert!(text.contains(said), "{text}");
    }
}

on_every_store! {
    a_total_that_an_archive_lowered_is_told_of_by_the_record_of_changes,
    an_archive_of_more_than_it_named_is_found,
    an_archive_of_a_coupon_on_offer_is_found,
    an_archive_of_days_that_it_keeps_is_found,
    an_archive_of_more_rows_than_it_told_is_found,
    an_archive_of_another_coupon_than_it_told_is_found_at_both,
}
