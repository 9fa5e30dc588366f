//! Answers that clients got, and rows, that a service cannot have given or stored.

use coupon_audit::{GrabClaim, Kind, SHOWN, Scope, StartState, UseAnswer};
use coupon_core::ResultId;

use crate::store::{
    Store, TABLE_TODAY, TABLE_YESTERDAY, TODAY, YESTERDAY, id, on_every_store, only, row, shard_of,
};

fn a_sound_data_set_passes<S: Store>() {
    let store = S::sound();
    let report = store.audit();
    assert_eq!((report.rows, report.shards, report.tables, report.violations()), (3, 2, 4, 0), "{report}");
    assert_eq!((report.acknowledged, report.refused, report.unknown), (Some(3), Some(1), Some(0)));
    assert!(report.not_checked.is_empty(), "{report}");
    assert_eq!(store.data().newest_result().unwrap(), Some(id(TODAY, 2)));
}

fn a_lost_grab_is_found_and_named<S: Store>() {
    let mut store = S::sound();
    store.claims().add(7, 2, GrabClaim::Granted(id(TODAY, 7)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains(&id(TODAY, 7).to_string()) && text.contains("user 7, coupon 2"), "{text}");
}

fn a_grab_stored_under_another_id_is_lost<S: Store>() {
    let mut store = S::new();
    store.add(shard_of(TODAY), TABLE_TODAY, id(TODAY, 9), 1, 1);
    store.claims().add(1, 1, GrabClaim::Granted(id(TODAY, 1)));
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Lost);
    assert!(text.contains(&format!("stored instead: result {}", id(TODAY, 9))), "{text}");
}

fn a_user_with_the_same_coupon_in_two_daily_tables_is_found<S: Store>() {
    let store = S::sound();
    store.store(shard_of(YESTERDAY), TABLE_YESTERDAY, id(YESTERDAY, 50), 1, 1);
    store.post(shard_of(YESTERDAY), 1);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Duplicate, 1));
    assert!(text.contains("user 1 holds coupon 1 2 times"), "{text}");
    assert!(text.contains(TABLE_TODAY) && text.contains(TABLE_YESTERDAY), "{text}");
}

fn an_id_stored_on_two_shards_is_found<S: Store>() {
    let store = S::sound();
    store.add(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 1), 6, 2);
    let report = store.audit();
    assert_eq!(report.count(Kind::Duplicate), 1, "{report}");
    assert_eq!((report.count(Kind::Misplaced), report.count(Kind::Invented)), (1, 1), "{report}");
}

fn one_more_row_than_stock_is_oversold<S: Store>() {
    let mut store = S::new();
    (1..=11).for_each(|user| store.grab(TODAY, user, 1));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Oversold, 1));
    assert!(text.contains("coupon 1: 11 rows of a stock of 10"), "{text}");
}

fn a_row_nobody_asked_for_is_invented_and_one_from_before_the_run_is_not<S: Store>() {
    let store = S::sound();
    store.add(shard_of(YESTERDAY), TABLE_YESTERDAY, id(YESTERDAY, 2), 2, 1);
    store.add(shard_of(TODAY), TABLE_TODAY, id(TODAY, 8), 8, 1);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Invented, 1));
    assert!(text.contains("user 8, coupon 1"), "{text}");
}

fn an_unknown_outcome_may_be_stored_or_not<S: Store>() {
    let mut store = S::sound();
    store.claims().add(8, 1, GrabClaim::Unknown);
    store.claims().add(9, 1, GrabClaim::Unknown);
    store.add(shard_of(TODAY), TABLE_TODAY, id(TODAY, 8), 8, 1);
    let report = store.audit();
    assert_eq!((report.violations(), report.unknown, report.unknown_stored), (0, Some(2), 1), "{report}");
}

fn a_result_acknowledged_twice_is_one_result<S: Store>() {
    let mut store = S::sound();
    store.claims().add(1, 1, GrabClaim::Granted(id(TODAY, 1)));
    let report = store.audit();
    assert_eq!((report.violations(), report.acknowledged), (0, Some(3)), "{report}");
}

fn an_id_acknowledged_to_two_users_is_lost_to_one_of_them<S: Store>() {
    let mut store = S::sound();
    store.claims().add(9, 1, GrabClaim::Granted(id(TODAY, 1)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains("user 9") && text.contains("stored instead"), "{text}");
}

fn a_user_told_that_they_hold_a_coupon_must_hold_it<S: Store>() {
    let mut store = S::sound();
    store.claims().add(1, 1, GrabClaim::Held(None));
    assert_eq!(store.audit().violations(), 0);
    store.claims().add(6, 1, GrabClaim::Held(None));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains("user 6 was told that they hold coupon 1"), "{text}");
}

fn a_coupon_told_to_be_sold_out_must_be_unless_unknown_grabs_explain_what_is_left<S: Store>() {
    let mut store = S::new();
    (1..=8).for_each(|user| store.grab(TODAY, user, 1));
    store.claims().add(20, 1, GrabClaim::SoldOut);
    store.claims().add(21, 1, GrabClaim::Unknown);
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted);
    assert!(text.contains("coupon 1") && text.contains("2 of 10 are left"), "{text}");
    store.claims().add(22, 1, GrabClaim::Unknown);
    assert_eq!(store.audit().violations(), 0);
}

fn a_duplicate_under_a_wrong_id_and_a_time_that_was_right_are_found<S: Store>() {
    let mut store = S::sound();
    store.claims().add(1, 1, GrabClaim::Held(Some(id(TODAY, 1))));
    assert_eq!(store.audit().violations(), 0);
    store.claims().add(1, 1, GrabClaim::Held(Some(77)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misjudged, 1));
    assert!(text.contains("as result 77; stored is"), "{text}");
    let mut store = S::sound();
    let at = |time: &str| GrabClaim::InvalidTime(Some(time.parse().unwrap()));
    store.main("UPDATE coupons SET end_time = end_time - 7200000");
    store.claims().add(5, 1, at("2036-01-01T00:00:00Z"));
    store.claims().add(5, 1, GrabClaim::InvalidTime(None));
    assert_eq!(store.audit().count(Kind::Misjudged), 0);
    store.claims().add(6, 1, at(TODAY));
    let report = store.audit();
    let text = report.findings.get(&Kind::Misjudged).unwrap().examples.join("\n");
    assert!(text.contains("user 6 was told at 2026-11-22T12:00:00.000Z that coupon 1 cannot"), "{text}");
}
fn a_grab_outside_the_window_or_of_an_unknown_user_is_found<S: Store>() {
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
fn a_row_on_the_wrong_shard_is_misplaced<S: Store>() {
    let mut store = S::sound();
    store.add(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 5), 5, 1);
    store.claims().add(5, 1, GrabClaim::Granted(id(TODAY, 5)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1));
    assert!(text.contains(&format!("belongs on shard {}", shard_of(TODAY))), "{text}");
}

fn a_row_in_the_table_of_another_day_is_misplaced_even_if_the_layout_is_unknown<S: Store>() {
    let mut store = S::new();
    store.main("UPDATE meta SET value = 'jump of user_id, 2 shards' WHERE name = 'layout'");
    store.add(0, TABLE_YESTERDAY, id(TODAY, 1), 1, 1);
    store.claims().add(1, 1, GrabClaim::Granted(id(TODAY, 1)));
    let report = store.data().audit(&Scope::default()).unwrap();
    assert_eq!(only(&report).0, Kind::Misplaced);
    assert!(report.not_checked[&Kind::Misplaced].contains("jump of user_id"), "{report}");
    for kind in [Kind::Lost, Kind::Invented, Kind::Spent, Kind::Misread] {
        assert!(report.not_checked.contains_key(&kind), "{kind}: {report}");
    }
}

fn a_row_dated_otherwise_than_its_id_is_misplaced<S: Store>() {
    let store = S::sound();
    store.shard(shard_of(TODAY), &row("grab_time = grab_time + 1"));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misplaced, 1));
    assert!(text.contains("grab_time is"), "{text}");
}

fn a_parked_result_is_found_and_accounts_for_its_hold<S: Store>() {
    // Where no slot was noted, it is the first.
    for (slot, noted) in [(0, "0"), (1, "1"), (0, "NULL")] {
        let store = S::sound();
        let row = format!("(77, 5, 2, 1, 'coupon_results', 'conflict', 0, {noted})");
        let columns = "result_id, user_id, coupon_id, room_id, table_name, reason, park_time, slot";
        store.shard(0, &format!("INSERT INTO parked_results ({columns}) VALUES {row}"));
        store.hold_in(5, 2, slot, 77);
        let (kind, count, text) = store.only();
        assert_eq!((kind, count), (Kind::Parked, 1));
        assert!(text.contains("result 77 of user 5, coupon 2") && text.contains("conflict"), "{text}");
    }
}

fn a_table_without_its_unique_index_is_found<S: Store>() {
    let store = S::sound();
    store.drop_unique(1, TABLE_TODAY);
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Unguarded, 1));
    assert!(text.contains("unique index on (user_id, coupon_id, slot)"), "{text}");
}
fn a_use_that_is_made_up_is_found<S: Store>() {
    for (set, said) in [
        ("use_status = 1", "contradicts itself"),
        ("use_time = 1", "contradicts itself"),
        ("order_amount = 5", "contradicts itself"),
        (
            "use_status = 1, use_time = grab_time + 1000, order_amount = 5, state = 2, state_time = grab_time + 1000",
            "nobody asked for that",
        ),
    ] {
        let store = S::sound();
        store.shard(shard_of(TODAY), &row(set));
        let report = store.audit();
        let spent = report.findings.get(&Kind::Spent).unwrap_or_else(|| panic!("{set}: {report}"));
        assert!(spent.examples.iter().any(|example| example.contains(said)), "{set}: {report}");
    }
}
/// A shard's own count of uses, where it counts.
fn use_first<S: Store>(store: &mut S, cents: i64) -> (i64, i64) {
    let result = id(TODAY, 1);
    let time = ResultId::from_number(result).unwrap().time().millis() + 1_000;
    let amount = cents as f64 / 100.0;
    let set =
        format!("use_status = 1, use_time = {time}, order_amount = {amount}, state = 2, state_time = {time}");
    store.shard(shard_of(TODAY), &row(&set));
    (result, time)
}

fn a_use_is_stored_as_it_was_acknowledged<S: Store>() {
    let spent = |store: &S, start: Option<&StartState>| {
        let report = store.data().audit(&store.scope(start)).unwrap();
        report.findings.get(&Kind::Spent).map(|found| found.examples.join("\n")).unwrap_or_default()
    };
    let mut store = S::sound();
    let start = store.data().remember().unwrap();
    let (result, time) = use_first(&mut store, 590);
    assert!(spent(&store, Some(&start)).contains("has been used since, and nobody asked"));
    store.claims().add_use(1, result, UseAnswer::Used { cents: 590, time: Some(time) });
    assert_eq!(spent(&store, Some(&start)), "");
    assert_eq!(spent(&store, None), "");
    // Another amount; forgotten; made up where the answer is not known.
    store.shard(shard_of(TODAY), &row("order_amount = 6"));
    assert!(spent(&store, None).contains("acknowledged with use_status 1"));
    let unused = "use_status = 0, use_time = NULL, order_amount = NULL, state = 1, state_time = NULL";
    store.shard(shard_of(TODAY), &row(unused));
    assert!(spent(&store, None).contains("order_amount null"));
    // Of a result that is not there.
    store.claims().add_use(9, 77, UseAnswer::UsedBefore);
    assert!(spent(&store, None).contains("user 9 was told that result 77 is used"));
}
fn only_the_first_violations_are_described_but_all_are_counted<S: Store>() {
    let mut store = S::sound();
    for user in 100..130 {
        store.claims().add(user, 2, GrabClaim::Granted(id(TODAY, u16::try_from(user).unwrap())));
    }
    let report = store.audit();
    let lost = report.findings.get(&Kind::Lost).unwrap();
    assert_eq!((lost.count, lost.examples.len()), (30, SHOWN));
    assert!(report.to_string().contains("… 10 more"), "{report}");
}

fn a_shard_of_another_data_set_is_refused<S: Store>() {
    let store = S::sound();
    store.shard(1, "UPDATE shard_meta SET value = 'another' WHERE name = 'dataset'");
    let error = format!("{:#}", store.data().audit(&Scope::default()).unwrap_err());
    assert!(error.contains(S::SECOND_SHARD) && error.contains("another"), "{error}");
}

on_every_store! {
    a_sound_data_set_passes,
    a_lost_grab_is_found_and_named,
    a_grab_stored_under_another_id_is_lost,
    a_user_with_the_same_coupon_in_two_daily_tables_is_found,
    an_id_stored_on_two_shards_is_found,
    one_more_row_than_stock_is_oversold,
    a_row_nobody_asked_for_is_invented_and_one_from_before_the_run_is_not,
    an_unknown_outcome_may_be_stored_or_not,
    a_result_acknowledged_twice_is_one_result,
    an_id_acknowledged_to_two_users_is_lost_to_one_of_them,
    a_user_told_that_they_hold_a_coupon_must_hold_it,
    a_coupon_told_to_be_sold_out_must_be_unless_unknown_grabs_explain_what_is_left,
    a_duplicate_under_a_wrong_id_and_a_time_that_was_right_are_found,
    a_grab_outside_the_window_or_of_an_unknown_user_is_found,
    a_row_on_the_wrong_shard_is_misplaced,
    a_row_in_the_table_of_another_day_is_misplaced_even_if_the_layout_is_unknown,
    a_row_dated_otherwise_than_its_id_is_misplaced,
    a_parked_result_is_found_and_accounts_for_its_hold,
    a_table_without_its_unique_index_is_found,
    a_use_that_is_made_up_is_found,
    a_use_is_stored_as_it_was_acknowledged,
    only_the_first_violations_are_described_but_all_are_counted,
    a_shard_of_another_data_set_is_refused,
}
