//! Laws of a catalogue that changes while services run.

use coupon_core::catalogue_change::{
    CatalogueChange, CouponPatch, NewCoupon, NewRoom, NewUser, Operator, Refused,
};
use coupon_core::{
    CouponKind, CouponStatus, GrabTerms, Money, RoomId, RoomStatus, Timestamp, UserId, UserLevel,
};
use coupon_store::settings::UnknownUsers;
use coupon_store::{Applied, Backend, ChangeError, Decision, GateStock, Offer};

use crate::bench::{
    Bench, ENDED, NOW, PLENTY, SCARCE, USERS, attempt, coupon_id, decide, eventually, grab, remaining, until,
};

/// A coupon that the tests make.
const MADE: u64 = 70;
const ANN: &str = "ann";

async fn try_change(backend: &Backend, change: CatalogueChange) -> Result<Applied, ChangeError> {
    backend.catalogue.change(change, Operator::new(ANN).unwrap()).await
}

/// Makes a change, and asks for it again for as long as the answer names a process that has not confirmed it: a busy
/// machine takes its time. Returns the first answer.
async fn change(backend: &Backend, change: CatalogueChange) -> Applied {
    let first = try_change(backend, change.clone()).await.unwrap();
    let mut last = first.clone();
    if !first.gate || !first.unconfirmed.is_empty() {
        last = eventually("it is enforced, and everybody knows", async || {
            let again = try_change(backend, change.clone()).await.unwrap();
            if again.gate && again.unconfirmed.is_empty() { Ok(again) } else { Err(again) }
        })
        .await;
    }
    assert!(backend.catalogue.version() >= last.version);
    first
}

async fn patch(backend: &Backend, coupon: u64, patch: CouponPatch) -> Applied {
    change(backend, CatalogueChange::ChangeCoupon(coupon_id(coupon), patch)).await
}

fn total(total: u32) -> CouponPatch {
    CouponPatch { total_stock: Some(total), ..CouponPatch::default() }
}

fn hours(hours: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap().plus_millis(hours * 3_600_000)
}

fn new_coupon() -> NewCoupon {
    NewCoupon {
        coupon_id: coupon_id(MADE),
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Made, 'quoted' and 中文".to_owned(),
        coupon_type: CouponKind::NoThreshold,
        discount_amount: Some(Money::from_cents(500)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 1,
        start_time: hours(-1),
        end_time: hours(1),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    }
}

fn new_user(id: u64, is_active: bool) -> NewUser {
    NewUser {
        user_id: UserId::new(id).unwrap(),
        username: format!("user {id}"),
        phone: String::new(),
        email: String::new(),
        user_level: UserLevel::Vip,
        is_active,
    }
}

async fn stock(backend: &Backend, coupon: u64) -> Option<GateStock> {
    backend.gate.stock(coupon_id(coupon)).await.unwrap()
}

pub(crate) async fn a_total_that_is_raised_sells_more_at_once(bench: &Bench) {
    let backend = bench.open();
    for user in [1, 2] {
        assert_eq!(grab(&backend, bench, user, SCARCE).await, Decision::Granted(0));
    }
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
    let before = backend.catalogue.version();
    let raised = patch(&backend, SCARCE, total(3)).await;
    assert!(raised.changed && raised.version > before);
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 4, SCARCE).await, Decision::OutOfStock);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, SCARCE).await, 0);
    backend.lifecycle.close();
    drop(backend);
    let backend = bench.open();
    assert_eq!(stock(&backend, SCARCE).await, Some(GateStock { total: 3, sold: 3 }), "after a start as well");
    backend.lifecycle.close();
}

pub(crate) async fn a_total_below_what_is_sold_sells_no_more_and_is_an_error_nowhere(bench: &Bench) {
    let backend = bench.open();
    for user in 1..=6 {
        assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
    }
    // Main applies five of them before the change or after it: there is room for them in any case.
    patch(&backend, PLENTY, total(4)).await;
    assert_eq!(grab(&backend, bench, 7, PLENTY).await, Decision::OutOfStock);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, PLENTY).await, 0, "never below nothing in what people see");
    assert_eq!(backend.catalogue.set_aside(), (0, Vec::new()));
    backend.lifecycle.close();
    drop(backend);

    let backend = bench.open();
    assert_eq!(backend.catalogue.set_aside(), (0, Vec::new()));
    assert_eq!(stock(&backend, PLENTY).await, Some(GateStock { total: 4, sold: 6 }));
    assert_eq!(grab(&backend, bench, 7, PLENTY).await, Decision::OutOfStock);
    patch(&backend, PLENTY, total(7)).await;
    assert_eq!(grab(&backend, bench, 7, PLENTY).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 8, PLENTY).await, Decision::OutOfStock);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, PLENTY).await, 0);
    backend.lifecycle.close();
}

pub(crate) async fn every_change_of_a_total_is_a_line_by_its_operator_in_one_chain(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    patch(&backend, SCARCE, total(5)).await;
    patch(&backend, SCARCE, total(0)).await;
    patch(&backend, SCARCE, CouponPatch { coupon_name: Some("Other".to_owned()), ..total(0) }).await;
    let lines = bench.log_of(SCARCE).await;
    let ann = || ANN.to_owned();
    assert_eq!(lines, [(2, 2, 1, "grab".to_owned()), (1, 1, 4, ann()), (3, 4, -1, ann())]);
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_that_is_withdrawn_or_ended_is_refused_and_can_be_offered_again(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    patch(&backend, SCARCE, CouponPatch::withdrawal()).await;
    assert_eq!(grab(&backend, bench, 2, SCARCE).await, Decision::InvalidTime);
    let offered = CouponPatch { status: Some(CouponStatus::Active), ..CouponPatch::default() };
    patch(&backend, SCARCE, offered).await;
    assert_eq!(grab(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::OutOfStock, "who held it holds it still");

    let now = bench.clock().now();
    patch(&backend, PLENTY, CouponPatch { end_time: Some(now), ..CouponPatch::default() }).await;
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::InvalidTime);
    patch(&backend, PLENTY, CouponPatch { end_time: Some(hours(9)), ..CouponPatch::default() }).await;
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
    backend.lifecycle.close();
}

pub(crate) async fn a_user_who_was_granted_a_coupon_is_a_duplicate_still_once_it_is_over(bench: &Bench) {
    let mut backend = bench.open();
    for coupon in [SCARCE, PLENTY] {
        assert_eq!(grab(&backend, bench, 1, coupon).await, Decision::Granted(0));
    }
    backend.lifecycle.drain().await.unwrap();
    patch(&backend, SCARCE, CouponPatch::withdrawal()).await;
    let now = bench.clock().now();
    patch(&backend, PLENTY, CouponPatch { end_time: Some(now), ..CouponPatch::default() }).await;
    // By the process that granted it, and by one that starts later.
    for _ in 0..2 {
        for coupon in [SCARCE, PLENTY] {
            let [again, other] = [1, 2].map(|user| attempt(&backend, bench, user, coupon));
            let told = decide(&backend, &[again, other]).await;
            assert!(
                matches!(told[..], [Decision::Duplicate(_), Decision::InvalidTime]),
                "{coupon}: {told:?}"
            );
        }
        backend.lifecycle.close();
        drop(backend);
        backend = bench.open();
    }
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_that_was_over_at_the_start_is_offered_again_with_its_holders(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 31, ENDED).await, Decision::InvalidTime);
    // Thirty hold one each. Of the fifty there are, an operator takes back all but one of those that are left.
    patch(&backend, ENDED, CouponPatch { end_time: Some(hours(1)), ..total(31) }).await;
    let asked = |user| attempt(&backend, bench, user, ENDED);
    let decided = decide(&backend, &[asked(1), asked(31), asked(32)]).await;
    assert!(matches!(decided[0], Decision::Duplicate(_)), "{decided:?}");
    assert_eq!(&decided[1..], [Decision::Granted(0), Decision::OutOfStock]);
    assert_eq!(stock(&backend, ENDED).await, Some(GateStock { total: 31, sold: 31 }));
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_whose_results_were_archived_stays_over(bench: &Bench) {
    for coupon in [ENDED, PLENTY] {
        let line = format!(
            "INSERT INTO stock_logs SELECT COALESCE(MAX(log_id), 0) + 1, {coupon}, 1, 0, 0, 'archive', NULL, NULL, 0 FROM stock_logs"
        );
        bench.edit_main(&line).await;
    }
    let backend = bench.open();
    let until = |end| CouponPatch { end_time: Some(end), ..CouponPatch::default() };
    let ahead = CatalogueChange::ChangeCoupon(coupon_id(ENDED), until(hours(1)));
    let refused = try_change(&backend, ahead).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("coupon {ENDED}")) && refused.contains("archived"), "{refused}");
    assert_eq!(grab(&backend, bench, 31, ENDED).await, Decision::InvalidTime);
    // One that is on offer may end later, and one that is over may have ended earlier.
    patch(&backend, PLENTY, until(hours(9))).await;
    patch(&backend, ENDED, until(hours(-1))).await;
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_of_which_an_archive_has_begun_stays_over(bench: &Bench) {
    let begun = format!(
        "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id) VALUES (1000, 0, 'archive', '', {ENDED})"
    );
    bench.edit_main(&begun).await;
    let backend = bench.open();
    let ahead = CouponPatch { end_time: Some(hours(1)), ..CouponPatch::default() };
    let ahead = CatalogueChange::ChangeCoupon(coupon_id(ENDED), ahead);
    let refused = try_change(&backend, ahead).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("coupon {ENDED}")) && refused.contains("has begun"), "{refused}");
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_that_is_made_can_be_grabbed_and_is_made_once(bench: &Bench) {
    let backend = bench.open();
    let make = |coupon| CatalogueChange::CreateCoupon(coupon);
    let made = change(&backend, make(new_coupon())).await;
    assert!(made.changed);
    let user = UserId::new(1).unwrap();
    assert!(matches!(backend.catalogue.known().offer(user, coupon_id(MADE)), Offer::InRoom(_)));
    assert_eq!(grab(&backend, bench, 1, MADE).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 2, MADE).await, Decision::OutOfStock);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, MADE).await, 0);
    let lines = bench.log_of(MADE).await;
    assert_eq!(lines, [(1, 0, 1, ANN.to_owned()), (2, 1, 0, "grab".to_owned())]);

    let again = change(&backend, make(new_coupon())).await;
    assert_eq!((again.version, again.changed), (made.version, false));
    let other = NewCoupon { total_stock: 2, ..new_coupon() };
    let refused = try_change(&backend, make(other)).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(Refused::Conflict(_))), "{refused}");
    let nowhere = NewCoupon { coupon_id: coupon_id(71), room_id: RoomId::new(99).unwrap(), ..new_coupon() };
    let refused = try_change(&backend, make(nowhere)).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no room 99");
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_that_is_made_again_after_it_was_deleted_has_its_holders(bench: &Bench) {
    let backend = bench.open();
    change(&backend, CatalogueChange::CreateCoupon(new_coupon())).await;
    assert_eq!(grab(&backend, bench, 1, MADE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    backend.lifecycle.close();
    drop(backend);
    bench.edit_main(&format!("DELETE FROM coupons WHERE coupon_id = {MADE}")).await;
    bench.edit_main(&format!("DELETE FROM stock_logs WHERE coupon_id = {MADE}")).await;

    let backend = bench.open();
    change(&backend, CatalogueChange::CreateCoupon(new_coupon())).await;
    let decided =
        decide(&backend, &[attempt(&backend, bench, 1, MADE), attempt(&backend, bench, 2, MADE)]).await;
    assert!(matches!(decided[..], [Decision::Duplicate(_), Decision::OutOfStock]), "{decided:?}");
    backend.lifecycle.close();
}

pub(crate) async fn a_change_that_changes_nothing_is_answered_and_not_recorded(bench: &Bench) {
    let backend = bench.open();
    let first = patch(&backend, PLENTY, CouponPatch { hold_s: Some(60), ..total(900) }).await;
    let again = patch(&backend, PLENTY, CouponPatch { hold_s: Some(60), ..total(900) }).await;
    assert_eq!((again.version, first.changed, again.changed), (first.version, true, false));
    let terms = backend.catalogue.known().offered(coupon_id(PLENTY)).unwrap().terms;
    assert_eq!(terms.hold_s, 60);

    let records = backend.catalogue.changes(10).await.unwrap();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].version, first.version);
    assert_eq!((&*records[0].operator, records[0].coupon), (ANN, Some(coupon_id(PLENTY))));
    assert_eq!(records[0].what, "hold_s 0 → 60; total_stock 1000 → 900");

    patch(&backend, PLENTY, total(901)).await;
    let latest = backend.catalogue.changes(1).await.unwrap();
    assert_eq!(latest[0].what, "total_stock 900 → 901", "the last comes first");
    for (coupon, patch, why) in [
        (99, total(1), "there is no coupon 99"),
        (PLENTY, CouponPatch { user_limit: Some(0), ..total(1) }, "user_limit must be from 1 to 100"),
        (
            PLENTY,
            CouponPatch { end_time: Some(hours(-100)), ..total(1) },
            "end_time must be after start_time",
        ),
    ] {
        let change = CatalogueChange::ChangeCoupon(coupon_id(coupon), patch);
        let refused = try_change(&backend, change).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(stock(&backend, PLENTY).await, Some(GateStock { total: 901, sold: 0 }), "refused as a whole");
    backend.lifecycle.close();
}

pub(crate) async fn rooms_are_made_once_and_end_once(bench: &Bench) {
    let backend = bench.open();
    let room = NewRoom {
        room_id: RoomId::new(3).unwrap(),
        room_name: "Night".to_owned(),
        anchor_id: 9,
        room_status: RoomStatus::Live,
        start_time: hours(0),
        is_hot: true,
    };
    let made = change(&backend, CatalogueChange::CreateRoom(room.clone())).await;
    assert!(made.changed && backend.catalogue.known().knows_room(room.room_id));
    assert!(!change(&backend, CatalogueChange::CreateRoom(room.clone())).await.changed);
    let other = CatalogueChange::CreateRoom(NewRoom { anchor_id: 8, ..room.clone() });
    assert!(matches!(try_change(&backend, other).await, Err(ChangeError::Refused(Refused::Conflict(_)))));

    let in_it = NewCoupon { room_id: room.room_id, ..new_coupon() };
    change(&backend, CatalogueChange::CreateCoupon(in_it)).await;
    assert!(change(&backend, CatalogueChange::EndRoom(room.room_id)).await.changed);
    assert!(!change(&backend, CatalogueChange::EndRoom(room.room_id)).await.changed);
    let nowhere = CatalogueChange::EndRoom(RoomId::new(99).unwrap());
    let refused = try_change(&backend, nowhere).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no room 99");
    let made = attempt(&backend, bench, 1, MADE);
    assert_eq!(decide(&backend, &[made]).await, [Decision::Granted(0)], "its coupons go on");
    backend.lifecycle.close();
}

pub(crate) async fn users_who_are_added_may_grab_and_those_who_exist_stay_as_they_are(bench: &Bench) {
    let backend = bench.open();
    let offer = |id| backend.catalogue.known().offer(UserId::new(id).unwrap(), coupon_id(PLENTY));
    assert_eq!(offer(900), Offer::UnknownUser);
    let users = vec![new_user(900, true), new_user(1, false), new_user(903, true), new_user(901, false)];
    let added = change(&backend, CatalogueChange::AddUsers(users.clone())).await;
    assert_eq!((added.added, added.changed), (3, true));
    assert!(matches!(offer(900), Offer::InRoom(_)) && matches!(offer(903), Offer::InRoom(_)));
    assert!(matches!(offer(1), Offer::InRoom(_)), "user 1 is as active as before");
    assert_eq!((offer(901), offer(902)), (Offer::InactiveUser, Offer::UnknownUser));
    let again = change(&backend, CatalogueChange::AddUsers(users)).await;
    assert_eq!((again.added, again.changed, again.version), (0, false, added.version));
    let record = backend.catalogue.changes(1).await.unwrap().remove(0);
    assert_eq!(record.what, "3 users added, from 900 to 903");
    backend.lifecycle.close();
    drop(backend);
    let backend = bench.open();
    assert_eq!(backend.catalogue.version(), added.version);
    assert!(backend.catalogue.known().knows_user(UserId::new(903).unwrap()));
    backend.lifecycle.close();
}

pub(crate) async fn users_whom_main_does_not_know_are_taken_where_that_is_set(bench: &Bench) {
    let unknown = UserId::new(USERS + 1_000).unwrap();
    let backend = bench.open_with(UnknownUsers::Accept).unwrap();
    let known = backend.catalogue.known();
    assert!(known.knows_user(unknown));
    assert!(matches!(known.offer(unknown, coupon_id(PLENTY)), Offer::InRoom(_)));
    let inactive = UserId::new(crate::bench::INACTIVE).unwrap();
    assert_eq!(known.offer(inactive, coupon_id(PLENTY)), Offer::InactiveUser, "main's word on them stands");
    assert_eq!(grab(&backend, bench, unknown.get(), PLENTY).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    // A change keeps it so.
    patch(&backend, PLENTY, total(900)).await;
    assert!(backend.catalogue.known().knows_user(unknown));
    backend.lifecycle.close();
    drop(backend);
    let backend = bench.open();
    assert!(!backend.catalogue.known().knows_user(unknown));
    backend.lifecycle.close();
}

pub(crate) async fn what_was_parked_for_want_of_stock_is_applied_once_an_operator_adds_some(bench: &Bench) {
    bench
        .edit_main(&format!(
            "UPDATE coupons SET total_stock = 1, remaining_stock = 1 WHERE coupon_id = {SCARCE}"
        ))
        .await;
    let backend = bench.open();
    bench.edit_main(&format!("UPDATE coupons SET remaining_stock = 0 WHERE coupon_id = {SCARCE}")).await;
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    eventually("it is set aside", async || {
        backend.lifecycle.drain().await.unwrap();
        let all = backend.catalogue.set_aside();
        if all.0 == 1 { Ok(()) } else { Err(all) }
    })
    .await;
    patch(&backend, SCARCE, total(5)).await;
    until("it is applied", async || remaining(&backend, SCARCE).await == 3).await;
    until("nothing is set aside", async || backend.catalogue.set_aside().0 == 0).await;
    backend.lifecycle.close();
}
