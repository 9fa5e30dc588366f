//! The stock that a database keeps which decides grabs, and which is not what rows and main say.

use coupon_audit::{GrabClaim, Kind, Scope};
use coupon_core::schema;

use crate::store::{Store, TABLE_TODAY, TODAY, id, on_every_store, only, shard_of, stored};

/// The end of every coupon.
const END: i64 = 1_950_000_000_000;

/// Has a shard of a sound data set keep the stock of both coupons, as it is.
fn keeping<S: Store>() -> S {
    let store = S::sound();
    store.main(&format!("UPDATE coupons SET end_time = {END}"));
    schema::stock(S::DIALECT).iter().for_each(|sql| store.shard(shard_of(TODAY), sql));
    for coupon in [1, 2] {
        says(&store, &format!("({coupon}, 10, 0, {END}, 1, 0)"));
    }
    store
}

/// Has it say otherwise of a coupon: its total, its window, how many are sold, and how many of them have no entry in the
/// outbox yet.
fn says<S: Store>(store: &S, row: &str) {
    let columns = "coupon_id, total, start_time, end_time, sold, untold";
    store.shard(shard_of(TODAY), &format!("REPLACE INTO stock ({columns}) VALUES {row}"));
}

fn what_is_sold_is_held_against_the_rows<S: Store>() {
    let mut store = keeping::<S>();
    assert_eq!((store.audit().violations(), store.audit().not_checked.len()), (0, 0), "{}", store.audit());
    // One more is stored, and has no entry in the outbox yet.
    store.shard(shard_of(TODAY), &stored(TABLE_TODAY, id(TODAY, 5), 5, 2));
    store.claims().add(5, 2, GrabClaim::Granted(id(TODAY, 5)));
    says(&store, &format!("(2, 10, 0, {END}, 2, 1)"));
    let running = Scope { drained: false, ..store.scope(None) };
    let report = store.data().audit(&running).unwrap();
    assert_eq!(report.violations(), 0, "{report}");
    assert!(report.not_checked[&Kind::Miscounted].contains("was not drained"), "{report}");
    says(&store, &format!("(2, 10, 0, {END}, 3, 1)"));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("says that it has sold 3, and has 2 results that take stock"), "{text}");
}

fn a_total_or_a_window_that_is_not_mains_is_found<S: Store>() {
    for (row, said) in [
        (format!("(2, 12, 0, {END}, 1, 0)"), "coupon 2: the database has total 12 and main 10".to_owned()),
        (format!("(2, 10, 1, {END}, 1, 0)"), "coupon 2: the database has start 1 and main 0".to_owned()),
        ("(2, 10, 0, 1, 1, 0)".to_owned(), format!("coupon 2: the database has end 1 and main {END}")),
    ] {
        let store = keeping::<S>();
        let start = store.data().remember().unwrap();
        assert_eq!(store.audit_since(&start).violations(), 0, "{}", store.audit_since(&start));
        says(&store, &row);
        let (kind, count, text) = only(&store.audit_since(&start));
        assert_eq!((kind, count), (Kind::Miscounted, 1), "{text}");
        assert!(text.contains(&said), "{text:?} does not say {said:?}");
        // Without a start, it may be what main said when the database began to decide.
        let report = store.audit();
        assert_eq!(report.violations(), 0, "{report}");
        let why = &report.not_checked[&Kind::Miscounted];
        assert!(why.contains("of 1 that differ nobody recorded") && why.contains(&said), "{report}");
    }
}

fn what_people_write_into_main_is_no_fault_of_what_is_sold_by_the_terms_of_before<S: Store>() {
    let mut store = keeping::<S>();
    store.main("UPDATE coupons SET start_time = 1900000000000 WHERE coupon_id = 2");
    let start = store.data().remember().unwrap();
    store.grab(TODAY, 9, 2);
    says(&store, &format!("(2, 10, 0, {END}, 2, 0)"));
    let report = store.audit_since(&start);
    assert_eq!((report.violations(), report.not_checked.len()), (0, 0), "{report}");
    says(&store, &format!("(2, 10, 5, {END}, 2, 0)"));
    let (kind, _, text) = only(&store.audit_since(&start));
    assert_eq!(kind, Kind::Miscounted, "{text}");
    assert!(text.contains("coupon 2: the database has start 5"), "{text}");
}

fn a_coupon_on_offer_without_stock_is_found<S: Store>() {
    let store = keeping::<S>();
    store.shard(shard_of(TODAY), "DELETE FROM stock WHERE coupon_id = 2");
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1), "{text}");
    assert!(text.contains("coupon 2 is on offer, and the database has no stock of it"), "{text}");
    store.main("UPDATE coupons SET status = 0 WHERE coupon_id = 2");
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
}

on_every_store! {
    what_is_sold_is_held_against_the_rows,
    a_total_or_a_window_that_is_not_mains_is_found,
    what_people_write_into_main_is_no_fault_of_what_is_sold_by_the_terms_of_before,
    a_coupon_on_offer_without_stock_is_found,
}
