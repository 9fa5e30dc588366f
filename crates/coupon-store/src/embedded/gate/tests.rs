//! The gate in memory.

use super::*;
use coupon_core::{GrabTerms, Money, RequestKey, ResultId, RoomId};

fn coupon(total: u32) -> Terms {
    let (start, end) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
    let (coupon, room) = (CouponId::new(1).unwrap(), RoomId::new(1).unwrap());
    let (min_purchase, grab) = (Money::default(), GrabTerms::default());
    Terms { coupon, room, total, taken_back: 0, start, end, active: true, min_purchase, grab }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn attempt(user: u64, time: &str, sequence: u16) -> Attempt {
    let (user, coupon) = (UserId::new(user).unwrap(), CouponId::new(1).unwrap());
    Attempt::plain(user, coupon, ResultId::from_parts(at(time), 0, sequence).unwrap())
}

fn over_for_long(total: u32) -> Terms {
    Terms { start: at("2026-11-20T00:00:00Z"), end: at("2026-11-21T00:00:00Z"), ..coupon(total) }
}

fn gate_for(coupon: &Terms) -> MemoryGate {
    MemoryGate::new([coupon], at(NOON))
}

const NOON: &str = "2026-11-22T12:00:00Z";

#[test]
fn the_last_one_goes_once_and_then_it_is_sold_out() {
    let gate = gate_for(&coupon(1));
    assert_eq!(gate.read().decide(&attempt(1, NOON, 0)), Decision::Granted(0));
    assert_eq!(gate.read().decide(&attempt(2, NOON, 1)), Decision::OutOfStock);
}

#[test]
fn a_repeat_is_pending_until_stored_and_a_duplicate_after() {
    let gate = gate_for(&coupon(5));
    let first = attempt(1, NOON, 0);
    assert_eq!(gate.read().decide(&first), Decision::Granted(0));
    assert_eq!(gate.read().decide(&attempt(1, NOON, 1)), Decision::Pending(Reservation::plain(first.id)));
    gate.settle([&CouponResult::granted(first.id, first.user, first.coupon, RoomId::new(1).unwrap())]);
    assert_eq!(gate.read().decide(&attempt(1, NOON, 2)), Decision::Duplicate(first.id));
}

#[test]
fn a_window_opens_at_its_start_and_is_shut_at_its_end() {
    let gate = gate_for(&coupon(5));
    assert_eq!(gate.read().decide(&attempt(1, "2026-11-21T23:59:59.999Z", 0)), Decision::InvalidTime);
    assert_eq!(gate.read().decide(&attempt(1, "2026-11-22T00:00:00Z", 0)), Decision::Granted(0));
    assert_eq!(gate.read().decide(&attempt(2, "2026-11-23T00:00:00Z", 0)), Decision::InvalidTime);
}

#[test]
fn a_coupon_that_is_over_for_long_is_shut_without_remembering_who_holds_it() {
    let gate = gate_for(&over_for_long(5));
    let one = attempt(1, NOON, 0);
    assert!(gate.restore(one.coupon, one.user, Reservation::plain(one.id)));
    assert_eq!(gate.oversold(), []);
    assert_eq!(gate.read().decide(&one), Decision::InvalidTime);
}

#[test]
fn a_user_is_answered_alike_once_a_coupon_is_withdrawn_or_was_over_at_the_start() {
    for over in [Terms { active: false, ..coupon(5) }, Terms { end: at("2026-11-22T11:00:00Z"), ..coupon(5) }]
    {
        let gate = gate_for(&over);
        let (one, two) = (attempt(1, NOON, 0), asking(attempt(2, NOON, 1), 1, "a"));
        let named = Reservation { request: two.request, ..Reservation::plain(two.id) };
        assert!(gate.restore(one.coupon, one.user, Reservation::plain(one.id)));
        assert!(gate.restore(two.coupon, two.user, named));
        assert_eq!(gate.read().decide(&attempt(1, NOON, 2)), Decision::Duplicate(one.id));
        assert_eq!(gate.read().decide(&two), Decision::Repeated(named.grant()));
        assert_eq!(gate.read().decide(&attempt(3, NOON, 3)), Decision::InvalidTime);
    }
}

#[test]
fn a_coupon_it_does_not_hold_is_not_called_sold_out() {
    assert_eq!(MemoryGate::default().read().decide(&attempt(1, NOON, 0)), Decision::NotLoaded);
}

#[test]
fn restoring_finds_a_second_result_of_one_user_and_what_is_oversold() {
    let gate = gate_for(&coupon(1));
    let (one, two) = (attempt(1, NOON, 0), attempt(2, NOON, 1));
    assert!(gate.restore(one.coupon, one.user, Reservation::plain(one.id)));
    assert!(!gate.restore(one.coupon, one.user, Reservation::plain(two.id)));
    assert_eq!(gate.oversold(), [one.coupon], "both of them took stock");
    assert!(gate.restore(two.coupon, two.user, Reservation::plain(two.id)));
    assert_eq!(gate.oversold(), [one.coupon]);
    // Either may go, each by its own id.
    gate.let_go(&stored(&one), at(NOON));
    gate.let_go(&CouponResult { user_id: one.user, ..stored(&two) }, at(NOON));
    assert_eq!(gate.oversold(), []);
}

fn asking(attempt: Attempt, limit: u8, request: &str) -> Attempt {
    Attempt { limit, request: Some(RequestKey::of(request)), ..attempt }
}

fn stored(attempt: &Attempt) -> CouponResult {
    attempt.reservation(0).result(attempt.user, attempt.coupon, RoomId::new(1).unwrap())
}

#[test]
fn a_user_gets_as_many_as_the_limit_says_each_in_the_lowest_free_slot() {
    let gate = gate_for(&coupon(9));
    let grabs: Vec<Attempt> =
        (0..5).map(|n| asking(attempt(1, NOON, n), 3, &format!("request {n}"))).collect();
    for (slot, grab) in (0..3).zip(&grabs) {
        assert_eq!(gate.read().decide(grab), Decision::Granted(slot));
    }
    // With no slot left, the user's answer names the result in the lowest slot: once it is stored, the answer is "duplicate".
    assert_eq!(gate.read().decide(&grabs[3]), Decision::Pending(grabs[0].reservation(0)));
    gate.settle([&stored(&grabs[0])]);
    assert_eq!(gate.read().decide(&grabs[3]), Decision::Duplicate(grabs[0].id));
    gate.let_go(&stored(&grabs[1]), at(NOON));
    assert_eq!(gate.read().decide(&grabs[3]), Decision::Granted(1));
    assert_eq!(gate.read().decide(&grabs[4]), Decision::Duplicate(grabs[0].id));
    assert_eq!(
        gate.read().decide(&asking(attempt(2, NOON, 9), 3, "request 0")),
        Decision::Granted(0),
        "another user's"
    );
}

#[test]
fn a_request_gets_its_first_answer_again_also_once_its_stock_is_given_back() {
    let gate = gate_for(&coupon(1));
    let first = asking(attempt(1, NOON, 0), 1, "a");
    let again = |sequence| asking(attempt(1, NOON, sequence), 1, "a");
    assert_eq!(gate.read().decide(&first), Decision::Granted(0));
    assert_eq!(gate.read().decide(&again(1)), Decision::Pending(first.reservation(0)));
    gate.settle([&stored(&first)]);
    assert_eq!(gate.read().decide(&again(2)), Decision::Repeated(first.reservation(0).grant()));
    gate.let_go(&stored(&first), at(NOON));
    assert_eq!(gate.read().decide(&again(3)), Decision::Repeated(first.reservation(0).grant()));
    // Another request is another grab, and an hour later so is this one.
    assert_eq!(gate.read().decide(&asking(attempt(1, NOON, 4), 1, "b")), Decision::Granted(0));
    let later = asking(attempt(1, "2026-11-22T13:00:00Z", 5), 1, "a");
    assert_eq!(
        gate.read().decide(&later),
        Decision::Pending(asking(attempt(1, NOON, 4), 1, "b").reservation(0))
    );
}

#[test]
fn what_is_given_back_can_be_grabbed_by_anybody() {
    let gate = gate_for(&coupon(1));
    let (one, two) = (attempt(1, NOON, 0), attempt(2, NOON, 1));
    assert_eq!(gate.read().decide(&one), Decision::Granted(0));
    assert_eq!(gate.read().decide(&two), Decision::OutOfStock);
    // Another result than the one that holds the stock gives none back.
    gate.let_go(&CouponResult { user_id: one.user, ..stored(&two) }, at(NOON));
    assert_eq!(gate.read().decide(&two), Decision::OutOfStock);
    gate.let_go(&stored(&one), at(NOON));
    assert_eq!(gate.read().decide(&two), Decision::Granted(0));
}

#[test]
fn a_changed_total_and_window_decide_the_next_grab() {
    let gate = gate_for(&coupon(1));
    let (one, two, three) = (attempt(1, NOON, 0), attempt(2, NOON, 1), attempt(3, NOON, 2));
    assert_eq!(gate.read().decide(&one), Decision::Granted(0));
    assert_eq!(gate.read().decide(&two), Decision::OutOfStock);
    assert!(!gate.offer(&coupon(2), Past::Stored, at(NOON)));
    assert_eq!(gate.read().decide(&two), Decision::Granted(0));
    gate.offer(&Terms { taken_back: 2, ..coupon(0) }, Past::Stored, at(NOON));
    assert_eq!(gate.read().decide(&three), Decision::OutOfStock);
    assert_eq!(gate.oversold(), [], "there were two");
    gate.offer(&Terms { active: false, ..coupon(9) }, Past::Stored, at(NOON));
    assert_eq!(gate.read().decide(&three), Decision::InvalidTime);
    gate.offer(&Terms { end: at(NOON), ..coupon(9) }, Past::Stored, at(NOON));
    assert_eq!(gate.read().decide(&three), Decision::InvalidTime);
    gate.offer(&coupon(9), Past::Stored, at(NOON));
    assert_eq!(gate.read().decide(&three), Decision::Granted(0));
}

#[test]
fn a_coupon_that_is_on_offer_again_decides_nothing_until_its_holders_are_read() {
    let over = over_for_long(2);
    let gate = gate_for(&over);
    let (one, two, three) = (attempt(1, NOON, 0), attempt(2, NOON, 1), attempt(3, NOON, 2));
    assert!(!gate.offer(&Terms { total: 3, ..over }, Past::Stored, at(NOON)), "it stays over");
    for _ in 0..2 {
        assert!(gate.offer(&coupon(2), Past::Stored, at(NOON)));
        assert_eq!(gate.read().decide(&three), Decision::NotLoaded);
    }
    // Both rows were read; the first gave its stock back before the gate heard of it.
    gate.let_go(&stored(&one), at(NOON));
    assert!(gate.restore(one.coupon, one.user, Reservation::plain(one.id)));
    assert!(gate.restore(two.coupon, two.user, Reservation::plain(two.id)));
    gate.all_read(one.coupon);
    assert!(!gate.offer(&coupon(2), Past::Stored, at(NOON)));
    assert_eq!(gate.read().decide(&two), Decision::Duplicate(two.id));
    assert_eq!(gate.read().decide(&three), Decision::Granted(0));
    assert_eq!(gate.read().decide(&one), Decision::OutOfStock);
}

#[test]
fn a_new_coupon_can_be_grabbed_at_once() {
    let gate = MemoryGate::default();
    assert!(!gate.offer(&coupon(1), Past::None, at(NOON)));
    assert_eq!(gate.read().decide(&attempt(1, NOON, 0)), Decision::Granted(0));
}
