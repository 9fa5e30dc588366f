//! Results after their grab: states, slots, holds, and stock that comes back.

use coupon_audit::{AuditReport, ClientAnswer, GrabClaim, Kind, Scope, StepAnswer};
use coupon_core::{ResultId, Timestamp};

use crate::store::{
    Store, TABLE_TODAY, TABLE_YESTERDAY, TODAY, YESTERDAY, damage, id, on_every_store, only, row, shard_of,
};

const MINUTE: i64 = 60_000;

/// The time at which a result was grabbed.
fn grabbed(result: i64) -> i64 {
    ResultId::from_number(result).unwrap().time().millis()
}

/// A sound store in which user 5 holds coupon 1 for a minute, and user 6 released it.
fn lived_in<S: Store>() -> S {
    let mut store = S::sound();
    let shard = shard_of(TODAY);
    for user in [5, 6] {
        store.grab(TODAY, user, 1);
        let result = id(TODAY, u16::try_from(user).unwrap());
        let until = grabbed(result) + MINUTE;
        store.shard(
            shard,
            &format!("UPDATE {TABLE_TODAY} SET state = 0, hold_until = {until} WHERE user_id = {user}"),
        );
        store.shard(shard, &format!("INSERT INTO holds (hold_until, result_id, table_name) VALUES ({until}, {result}, '{TABLE_TODAY}')"));
    }
    release(&mut store, 6);
    store
}

/// A release as a service does it.
fn release<S: Store>(store: &mut S, user: u16) {
    let (shard, result) = (shard_of(TODAY), id(TODAY, user));
    give_back(store, user);
    store.shard(shard, &format!("DELETE FROM holds WHERE result_id = {result}"));
    store.apply_back(shard, 1, "release");
}

/// The row's part of a release, and the answer that its client got.
fn give_back<S: Store>(store: &mut S, user: u16) {
    let time = grabbed(id(TODAY, user)) + MINUTE;
    store.shard(
        shard_of(TODAY),
        &format!(
            "UPDATE {TABLE_TODAY} SET state = 4, slot = NULL, state_time = {time} WHERE user_id = {user}"
        ),
    );
    store.gave_back(shard_of(TODAY), 1);
    store.let_go(u64::from(user), 1);
    tell(store, user, StepAnswer::Released);
}

/// An answer to a user about a step.
fn tell<S: Store>(store: &mut S, user: u16, told: StepAnswer) {
    store.claims().take(u64::from(user), ClientAnswer::Step(id(TODAY, user), told));
}

fn a_sale_in_which_results_are_held_and_released_is_sound<S: Store>() {
    let mut store = lived_in::<S>();
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
    // A user who released one may grab another, and its stock may be another user's.
    let shard = shard_of(TODAY);
    store.add(shard, TABLE_TODAY, id(TODAY, 60), 6, 1);
    store.claims().add(6, 1, GrabClaim::Granted(id(TODAY, 60)));
    let start = store.data().remember().unwrap();
    release(&mut store, 5);
    assert_eq!(store.audit_since(&start).violations(), 0, "{}", store.audit_since(&start));
}

fn a_row_that_contradicts_itself_is_found<S: Store>() {
    let today = shard_of(TODAY);
    let later = grabbed(id(TODAY, 1)) + MINUTE;
    for (set, said) in [
        ("state = 2, state_time = 1895000000000".to_owned(), "its use says otherwise"),
        ("slot = NULL".to_owned(), "takes stock without a slot"),
        ("state = 6, slot = NULL, state_time = 1895000000000".to_owned(), "no such state"),
        (format!("hold_until = {later}, state_time = {later}"), "confirmed when it was not held any more"),
        ("state_time = 1895000000000".to_owned(), "when there was nothing to change"),
    ] {
        let store = S::sound();
        store.shard(today, &row(&set));
        let report = store.audit();
        let found =
            report.findings.get(&Kind::Spent).map(|found| found.examples.join("; ")).unwrap_or_default();
        assert!(found.contains(said), "{set}: {report}");
    }
    damage::<S>(|store| store.shard(today, &row("slot = NULL")), Kind::Spent, "without a slot");
}

fn stock_that_was_not_given_back_is_found_and_so_is_what_came_back_twice<S: Store>() {
    let mut store = lived_in::<S>();
    give_back(&mut store, 5);
    store.shard(shard_of(TODAY), "DELETE FROM holds");
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted, "{text}");
    assert!(text.contains("coupon 1: total 10 − remaining 7 + not yet told 0 = 3, but 2 rows"), "{text}");
    let store = lived_in::<S>();
    store.apply_back(shard_of(TODAY), 1, "expire");
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted, "{text}");
    assert!(text.contains("coupon 1: total 10 − remaining 8 + not yet told 0 = 2, but 3 rows"), "{text}");
}

fn a_line_of_stock_that_came_back_must_say_how<S: Store>() {
    let sql = "UPDATE stock_logs SET operator = 'gift' WHERE operation_type = 3";
    let store = lived_in::<S>();
    store.main(sql);
    let (kind, _, text) = store.only();
    assert_eq!(kind, Kind::Miscounted);
    assert!(text.contains("by \"gift\" came of no outbox"), "{text}");
}

fn the_list_of_what_is_held_must_be_that_of_the_rows<S: Store>() {
    let today = shard_of(TODAY);
    let store = lived_in::<S>();
    store.shard(today, "DELETE FROM holds");
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("it would never expire"), "{text}");
    let store = lived_in::<S>();
    store.shard(
        today,
        &format!(
            "INSERT INTO holds (hold_until, result_id, table_name) VALUES (7, {}, '{TABLE_TODAY}')",
            id(TODAY, 1)
        ),
    );
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("no row is held so"), "{text}");
}

fn a_second_result_in_one_slot_is_a_duplicate_and_in_another_it_is_not<S: Store>() {
    let limit = "UPDATE coupons SET user_limit = 2 WHERE coupon_id = 1";
    for (slot, said) in [(0, Some("holds coupon 1 2 times")), (1, None)] {
        let mut store = S::sound();
        store.main(limit);
        let (shard, result) = (shard_of(YESTERDAY), id(YESTERDAY, 40));
        store.store(shard, TABLE_YESTERDAY, result, 1, 1);
        store.shard(shard, &format!("UPDATE {TABLE_YESTERDAY} SET slot = {slot} WHERE result_id = {result}"));
        store.post(shard, 1);
        store.hold_in(1, 1, slot, result);
        store.claims().add(1, 1, GrabClaim::Granted(result));
        let report = store.audit();
        match said {
            None => assert_eq!(report.violations(), 0, "{report}"),
            Some(said) => {
                let found = &report.findings[&Kind::Duplicate];
                assert!(found.count == 1 && found.examples[0].contains(said), "{report}");
            }
        }
    }
}

/// User 6, who released coupon 1 a minute after the grab, got it again so much later, by a request of the same name or another.
fn granted_again<S: Store>(later: i64, requests: (i64, i64)) -> AuditReport {
    let store = lived_in::<S>();
    let (shard, first) = (shard_of(TODAY), id(TODAY, 6));
    let at = Timestamp::from_millis(grabbed(first) + later);
    let again = ResultId::from_parts(at, 0, 60).unwrap().number();
    store.store(shard, TABLE_TODAY, again, 6, 1);
    store.shard(
        shard,
        &format!(
            "UPDATE {TABLE_TODAY} SET request = CASE result_id WHEN {again} THEN {} ELSE {} END WHERE user_id = 6",
            requests.1, requests.0
        ),
    );
    store.audit()
}

fn a_request_that_was_granted_twice_is_a_duplicate<S: Store>() {
    let said = |later, requests| {
        let report = granted_again::<S>(later, requests);
        report.findings.get(&Kind::Duplicate).map(|found| found.examples.join("\n")).unwrap_or_default()
    };
    let found = said(2 * MINUTE, (7, 7));
    assert!(found.contains("one request of user 6 for coupon 1 was granted twice"), "{found}");
    assert_eq!(said(2 * MINUTE, (7, 8)), "");
    assert_eq!(said(62 * MINUTE, (7, 7)), "", "its first answer is forgotten by then");
    // Live at once, in two slots.
    let store = S::sound();
    let shard = shard_of(TODAY);
    store.store(shard, TABLE_TODAY, id(TODAY, 50), 10, 2);
    store.shard(shard, &format!("UPDATE {TABLE_TODAY} SET slot = 1 WHERE user_id = 10"));
    store.store(shard, TABLE_TODAY, id(TODAY, 51), 10, 2);
    store.shard(shard, &format!("UPDATE {TABLE_TODAY} SET request = 9 WHERE user_id = 10"));
    let report = store.audit();
    assert_eq!(report.findings[&Kind::Duplicate].count, 1, "{report}");
}

fn a_slot_beyond_the_limit_is_found_in_rows_of_the_run<S: Store>() {
    let mut store = S::sound();
    let start = store.data().remember().unwrap();
    let (shard, result) = (shard_of(TODAY), id(TODAY, 50));
    store.store(shard, TABLE_TODAY, result, 10, 2);
    store.shard(shard, &format!("UPDATE {TABLE_TODAY} SET slot = 1 WHERE user_id = 10"));
    store.post(shard, 2);
    store.hold_in(10, 2, 1, result);
    store.claims().add(10, 2, GrabClaim::Granted(result));
    let (kind, count, text) = only(&store.audit_since(&start));
    assert_eq!((kind, count), (Kind::Misjudged, 1), "{text}");
    assert!(text.contains("it is in slot 1, and a user may have 1"), "{text}");
}

fn a_step_is_stored_as_it_was_acknowledged<S: Store>() {
    let said = |store: &S| {
        let report = store.audit();
        report.findings.get(&Kind::Spent).map(|found| found.examples.join("\n")).unwrap_or_default()
    };
    let mut store = lived_in::<S>();
    // Held, and so neither confirmed nor released, whatever was not answered.
    tell(&mut store, 5, StepAnswer::ConfirmUnknown);
    assert_eq!(said(&store), "");
    tell(&mut store, 5, StepAnswer::Confirmed);
    assert!(said(&store).contains("was told that it is confirmed, and it is held"), "{}", said(&store));
    // A result that is not there, and a release that no client asked for.
    let mut store = lived_in::<S>();
    store.claims().take(9, ClientAnswer::Step(77, StepAnswer::Released));
    assert!(said(&store).contains("user 9 was told that result 77 is released"), "{}", said(&store));
    let mut store = S::sound();
    store.grab(TODAY, 6, 1);
    let until = grabbed(id(TODAY, 6)) + MINUTE;
    let set = format!("state = 4, slot = NULL, hold_until = {until}, state_time = {until}");
    store.shard(shard_of(TODAY), &format!("UPDATE {TABLE_TODAY} SET {set} WHERE user_id = 6"));
    assert!(said(&store).contains("it was released, and nobody asked for that"), "{}", said(&store));
}

fn what_expires_after_draining_need_not_be_applied_and_what_was_asked_for_must_be<S: Store>() {
    for (state, how, applied) in [(5, "expire", false), (4, "release", true)] {
        let mut store = lived_in::<S>();
        let (shard, until) = (shard_of(TODAY), grabbed(id(TODAY, 5)) + MINUTE);
        let set = format!("state = {state}, slot = NULL, state_time = {until}");
        store.shard(shard, &format!("UPDATE {TABLE_TODAY} SET {set} WHERE user_id = 5"));
        store.shard(shard, "DELETE FROM holds");
        store.gave_back(shard, 1);
        store.let_go(5, 1);
        store.note_back(shard, 1, how);
        if applied {
            tell(&mut store, 5, StepAnswer::Released);
            let (kind, _, text) = store.only();
            assert!(kind == Kind::Miscounted && text.contains("1 outbox entries"), "{text}");
        } else {
            assert_eq!(store.audit().violations(), 0, "{}", store.audit());
        }
    }
}

fn an_archive_says_nothing_of_results_that_gave_their_stock_back_and_another_that_goes_is_lost<S: Store>() {
    let (store, shard) = (lived_in::<S>(), shard_of(TODAY));
    let start = store.data().remember().unwrap();
    let scope = Scope { start: Some(&start), drained: true, ..Scope::default() };
    let audit = || store.data().audit(&scope).unwrap();
    store.take(shard, TABLE_TODAY, 6, 1);
    store.gave_back(shard, -1);
    assert_eq!(audit().violations(), 0, "{}", audit());
    // One that takes stock.
    store.take(shard, TABLE_TODAY, 1, 1);
    let report = audit();
    assert_eq!(report.count(Kind::Lost), 1, "{report}");
    let told = report.to_string();
    assert!(told.contains("2 results of the start are not there any more"), "{told}");
    assert!(told.contains("coupon 1: total 10 − remaining 7 + not yet told 0 = 3, but 2 rows"), "{told}");
}

on_every_store! {
    an_archive_says_nothing_of_results_that_gave_their_stock_back_and_another_that_goes_is_lost,
    what_expires_after_draining_need_not_be_applied_and_what_was_asked_for_must_be,
    a_step_is_stored_as_it_was_acknowledged,
    a_sale_in_which_results_are_held_and_released_is_sound,
    a_row_that_contradicts_itself_is_found,
    stock_that_was_not_given_back_is_found_and_so_is_what_came_back_twice,
    a_line_of_stock_that_came_back_must_say_how,
    the_list_of_what_is_held_must_be_that_of_the_rows,
    a_second_result_in_one_slot_is_a_duplicate_and_in_another_it_is_not,
    a_slot_beyond_the_limit_is_found_in_rows_of_the_run,
    a_request_that_was_granted_twice_is_a_duplicate,
}
