//! Coupons that operators change while services run: what was lawful when it was decided is no breach.

use coupon_audit::Kind;

use crate::store::{Store, TODAY, damage, end, on_every_store};

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

on_every_store! {
    a_window_that_an_operator_moved_makes_no_grab_of_before_wrong,
    a_total_that_an_operator_lowered_below_what_is_sold_is_not_oversold,
    users_whom_main_does_not_know_are_wrong_unless_a_service_took_them,
}
