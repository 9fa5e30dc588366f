//! Stock, the stock log and the catalogue, which disagree with the rows or with each other.

use coupon_audit::{GrabClaim, Kind, Scope};

use crate::store::{Store, TABLE_TODAY, TODAY, damage, id, on_every_store, only, row, shard_of};

fn stock_that_differs_from_the_rows_is_found<S: Store>() {
    let store = S::sound();
    store.post(0, 2);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Miscounted, 2));
    assert!(text.contains("coupon 2: total 10 − remaining 8 + not yet told 0 = 2, but 1 rows"), "{text}");
}

fn outbox_entries_not_yet_applied_are_a_violation_only_after_draining<S: Store>() {
    let mut store = S::sound();
    let shard = shard_of(TODAY);
    store.store(shard, TABLE_TODAY, id(TODAY, 5), 5, 2);
    store.hold(5, 2, id(TODAY, 5));
    store.claims().add(5, 2, GrabClaim::Granted(id(TODAY, 5)));
    store.note(shard, 2);
    let running = Scope { drained: false, ..store.scope(None) };
    let report = store.data().audit(&running).unwrap();
    assert_eq!(report.violations(), 0, "{report}");
    let unapplied =
        report.unapplied.iter().map(|entry| (usize::from(entry.shard), entry.entries, entry.rows));
    assert_eq!(unapplied.collect::<Vec<_>>(), [(shard, 1, 1)]);
    assert_eq!(store.only().0, Kind::Miscounted);
    store.apply(shard, 2);
    assert_eq!(store.audit().violations(), 0);
}

fn beside_clients_what_comes_after_a_drain_is_on_its_way_and_what_was_there_before_is_not<S: Store>() {
    let store = S::sound();
    let shard = shard_of(TODAY);
    let another = |user: u16| {
        store.store(shard, TABLE_TODAY, id(TODAY, user), user.into(), 2);
        store.hold(user.into(), 2, id(TODAY, user));
        store.note(shard, 2);
    };
    let before = store.data().moment().unwrap();
    another(5);
    assert_ne!(store.data().moment().unwrap(), before);
    let scope = store.scope(None);
    let beside = |before: &_| {
        let scope = Scope { beside: Some(before), reads: None, drained: false, ..scope };
        store.data().audit(&scope).unwrap()
    };
    let report = beside(&before);
    assert_eq!(report.violations(), 0, "{report}");
    assert_eq!(report.unapplied.iter().map(|entry| entry.entries).sum::<u64>(), 1);
    for kind in [Kind::Invented, Kind::Misread] {
        assert!(report.not_checked[&kind].contains("end the load"), "{report}");
    }
    // One that was written before everything was drained must be applied.
    let after = store.data().moment().unwrap();
    another(6);
    let (kind, count, text) = only(&beside(&after));
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("1 outbox entries (1 rows)"), "{text}");
}

fn whatever_happens_to_a_row_makes_another_moment<S: Store>() {
    let store = S::sound();
    let before = store.data().moment().unwrap();
    assert_eq!(store.data().moment().unwrap(), before);
    for change in ["hold_until = 5", "use_status = 1", "state = 2"] {
        let earlier = store.data().moment().unwrap();
        store.shard(shard_of(TODAY), &format!("UPDATE {TABLE_TODAY} SET {change} WHERE user_id = 2"));
        assert_ne!(store.data().moment().unwrap(), earlier, "{change}");
    }
}

fn each_breach_of_the_law_of_the_books_is_found<S: Store>() {
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

fn the_log_is_only_ever_added_to<S: Store>() {
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

fn a_catalogue_that_was_edited_is_no_fault_of_older_rows<S: Store>() {
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

fn a_coupon_that_was_moved_is_no_fault_of_its_rows_and_another_room_is<S: Store>() {
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

on_every_store! {
    stock_that_differs_from_the_rows_is_found,
    outbox_entries_not_yet_applied_are_a_violation_only_after_draining,
    beside_clients_what_comes_after_a_drain_is_on_its_way_and_what_was_there_before_is_not,
    whatever_happens_to_a_row_makes_another_moment,
    each_breach_of_the_law_of_the_books_is_found,
    the_log_is_only_ever_added_to,
    a_catalogue_that_was_edited_is_no_fault_of_older_rows,
    a_coupon_that_was_moved_is_no_fault_of_its_rows_and_another_room_is,
}
