//! An archive that main applied, forgot, and got back by `seeder books --rebuild`.

use coupon_audit::{GrabClaim, Kind};

use crate::store::{
    Store, TABLE_TODAY, TABLE_YESTERDAY, TODAY, YESTERDAY, id, on_every_store, only, shard_of,
};

/// Five rows of coupon 1 from before there was an outbox, on both shards, as the seeder books them.
fn seeded<S: Store>() -> S {
    let store = S::new();
    for user in 1..=5 {
        let (time, table) = seeded_in(user);
        let result = id(time, u16::try_from(user).unwrap());
        store.store(shard_of(time), table, result, user, 1);
        store.hold(user, 1, result);
    }
    store.main("INSERT INTO stock_logs VALUES (3, 1, 2, 10, 5, 'seeder', NULL, NULL, 0)");
    store.main("UPDATE coupons SET remaining_stock = 5 WHERE coupon_id = 1");
    store
}

/// The time and place at which such a row was stored.
fn seeded_in(user: u64) -> (&'static str, &'static str) {
    if user < 4 { (TODAY, TABLE_TODAY) } else { (YESTERDAY, TABLE_YESTERDAY) }
}

/// Retires the rows of [`seeded`], and books `retired` of them as `seeder books --rebuild` does once main has
/// forgotten them all: on the last shard whose outbox lacks entries.
fn archive_and_rebuild<S: Store>(store: &S, retired: i64) {
    for user in 1..=5 {
        let (time, table) = seeded_in(user);
        store.take(shard_of(time), table, user, 1);
    }
    let (shard, left) = (shard_of(YESTERDAY), 5 + retired);
    store.note(shard, 1);
    store.forget(shard);
    store.main(&format!("UPDATE outbox_positions SET outbox_id = 1 WHERE shard = {shard}"));
    store.main(&format!(
        "INSERT INTO stock_logs VALUES (14, 1, 3, 5, {left}, 'rebuild', {shard}, 1, 0),
             (15, 1, 1, {left}, 5, 'rebuild', {shard}, 1, 0)"
    ));
    store.main(&format!("UPDATE coupons SET total_stock = 10 - {retired} WHERE coupon_id = 1"));
}

fn an_archive_that_main_forgot_and_was_told_anew_is_no_fault_of_any_shard<S: Store>() {
    let store = seeded::<S>();
    let start = store.data().remember().unwrap();
    archive_and_rebuild(&store, 5);
    let report = store.audit_since(&start);
    assert_eq!((report.violations(), report.not_checked.len()), (0, 0), "{report}");
}

fn what_books_told_anew_cannot_tell_apart_is_not_called_lost<S: Store>() {
    let mut store = seeded::<S>();
    let older = id(TODAY, 7);
    store.store(shard_of(TODAY), TABLE_TODAY, older, 7, 2);
    store.post(shard_of(TODAY), 2);
    store.hold(7, 2, older);
    let start = store.data().remember().unwrap();
    // One came in the time that main has forgotten.
    let came = id(TODAY, 9);
    store.store(shard_of(TODAY), TABLE_TODAY, came, 9, 1);
    store.hold(9, 1, came);
    store.claims().add(9, 1, GrabClaim::Granted(came));
    archive_and_rebuild(&store, 4);
    let report = store.audit_since(&start);
    assert_eq!(report.violations(), 0, "{report}");
    assert!(report.not_checked[&Kind::Lost].contains("1 more may have been"), "{report}");
    // The rebuilt books of one coupon excuse no other: of a coupon whose books were not, a row takes the place of one
    // that is lost.
    let instead = id(TODAY, 8);
    store.take(shard_of(TODAY), TABLE_TODAY, 7, 2);
    store.store(shard_of(TODAY), TABLE_TODAY, instead, 8, 2);
    store.hold(8, 2, instead);
    store.claims().add(8, 2, GrabClaim::Granted(instead));
    let (kind, count, text) = only(&store.audit_since(&start));
    assert_eq!((kind, count), (Kind::Lost, 1), "{text}");
}

on_every_store! {
    an_archive_that_main_forgot_and_was_told_anew_is_no_fault_of_any_shard,
    what_books_told_anew_cannot_tell_apart_is_not_called_lost,
}
