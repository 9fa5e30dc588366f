//! Coupons that operators change while services run: what was lawful when it was decided is no breach.

use coupon_audit::{Kind, Scope};

use crate::store::{Store, TABLE_YESTERDAY, TODAY, YESTERDAY, damage, end, id, on_every_store, shard_of};

/// Main's record of a change of coupon 2, which was on offer as at the start.
fn recorded(total: i64, end: &str) -> String {
    format!(
        "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id, total_before, start_before, end_before,
             status_before, user_limit_before) VALUES (1, 0, 'ann', 'x', 2, {total}, 0, {end}, 1, 1)"
    )
}

fn a_window_that_an_operator_moved_makes_no_grab_of_before_wrong<S: Store>() {
    let store = S::sound();
    let later = coupon_core::ResultId::from_number(crate::store::id(TODAY, 2)).unwrap().time().millis() + 1;
    let moved = |store: &S| {
        store.main(&format!("UPDATE coupons SET start_time = {later} WHERE coupon_id = 2"));
        store.gate_has(2, "s", &later.to_string());
    };
    damage::<S>(moved, Kind::Misjudged, "before its coupon's window");
    moved(&store);
    store.main(&recorded(10, &end()));
    let report = store.audit();
    assert_eq!(report.violations(), 0, "{report}");
}

fn a_total_that_an_operator_lowered_below_what_is_sold_is_not_oversold<S: Store>() {
    let lower = |store: &S| {
        store.main("UPDATE coupons SET total_stock = 0, remaining_stock = -1 WHERE coupon_id = 2");
        let line = "INSERT INTO stock_logs VALUES (99, 2, 3, 9, -1, 'ann', NULL, NULL, 0)";
        store.main(line);
        store.gate_has(2, "t", "0");
    };
    damage::<S>(lower, Kind::Oversold, "coupon 2: 1 rows of a stock of 0");
    let store = S::sound();
    lower(&store);
    store.main("UPDATE coupons SET taken_back = 10 WHERE coupon_id = 2");
    store.main(&recorded(10, &end()));
    let report = store.audit();
    assert_eq!(report.violations(), 0, "{report}");
}

fn users_whom_main_does_not_know_are_wrong_unless_a_service_took_them<S: Store>() {
    let stranger = |store: &mut S| store.grab(TODAY, 999, 2);
    let mut store = S::sound();
    stranger(&mut store);
    let report = store.audit();
    assert!(report.to_string().contains("there is no such user"), "{report}");
    store.main("INSERT INTO catalogue_state (id, version, accepts_unknown_users) VALUES (1, 0, 1)");
    let report = store.audit();
    assert_eq!(report.violations(), 0, "{report}");
}

/// A total that fell with a result that was archived, as its coupon's log says in the lines 14 and 15.
fn archived<S: Store>() -> S {
    let store = S::new();
    let shard = shard_of(YESTERDAY);
    store.add(shard, TABLE_YESTERDAY, id(YESTERDAY, 3), 3, 1);
    store.take(shard, TABLE_YESTERDAY, 3, 1);
    store.note(shard, 1);
    store.main(&format!("UPDATE outbox_positions SET outbox_id = 2 WHERE shard = {shard}"));
    store.forget(shard);
    store.main(&format!(
        "INSERT INTO stock_logs VALUES (14, 1, 3, 9, 10, 'archive', {shard}, 2, 0),
             (15, 1, 1, 10, 9, 'archive', {shard}, 2, 0)"
    ));
    store.main("UPDATE coupons SET total_stock = 9, remaining_stock = 9 WHERE coupon_id = 1");
    store.gate_has(1, "t", "9");
    store
}

fn a_total_that_an_archive_lowered_is_told_of_by_the_record_of_changes<S: Store>() {
    let store = archived::<S>();
    let audit = || store.data().audit(&Scope { drained: true, ..Scope::default() }).unwrap();
    assert_eq!(audit().violations(), 0, "{}", audit());
    // From which line on the record tells of archives, and whether it does.
    for (from, told, found) in [(15, false, 0), (13, false, 1), (13, true, 0)] {
        store.main("DELETE FROM meta WHERE name = 'archives_named_from'");
        store.main(&format!("INSERT INTO meta (name, value) VALUES ('archives_named_from', '{from}')"));
        if told {
            store.main(
                "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id)
                     VALUES (1, 0, 'archive', '', 1)",
            );
        }
        let report = audit();
        assert_eq!((report.count(Kind::Miscounted), report.violations()), (found, found), "{report}");
        assert_eq!(report.to_string().contains("line 15 of the stock log"), found == 1, "{report}");
    }
}

on_every_store! {
    a_total_that_an_archive_lowered_is_told_of_by_the_record_of_changes,
    a_window_that_an_operator_moved_makes_no_grab_of_before_wrong,
    a_total_that_an_operator_lowered_below_what_is_sold_is_not_oversold,
    users_whom_main_does_not_know_are_wrong_unless_a_service_took_them,
}
