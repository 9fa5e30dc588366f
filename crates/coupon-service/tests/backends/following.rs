//! Processes on servers that follow one catalogue while it changes, by any of them or by another program.

use std::time::Duration;

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, NewCoupon, NewUser, Operator};
use coupon_core::{CouponKind, CouponStatus, GrabTerms, Money, RoomId, Timestamp, UserId, UserLevel};
use coupon_store::settings::Role;
use coupon_store::{Applied, Backend, Decision, GateStock, Offer};

use crate::bench::{
    Bench, ENDED, NOW, PLENTY, SCARCE, attempt, coupon_id, decide, epoch_of, eventually, filled_after, grab,
    held_by, names, process, remaining, run, unlink, until,
};

pub(crate) const HOUR: i64 = 3_600_000;
/// The number of a coupon that no process knows.
pub(crate) const NEW: u64 = 70;

fn operator() -> Operator {
    Operator::new("olga").unwrap()
}

pub(crate) fn at(after_ms: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap().plus_millis(after_ms)
}

fn patch(of: u64, patch: CouponPatch) -> CatalogueChange {
    CatalogueChange::ChangeCoupon(coupon_id(of), patch)
}

pub(crate) fn total(of: u64, total: u32) -> CatalogueChange {
    patch(of, CouponPatch { total_stock: Some(total), ..CouponPatch::default() })
}

pub(crate) fn new_coupon() -> CatalogueChange {
    CatalogueChange::CreateCoupon(NewCoupon {
        coupon_id: coupon_id(NEW),
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "made in the middle".to_owned(),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(500)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 1,
        start_time: at(-HOUR),
        end_time: at(HOUR),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    })
}

/// Makes a change, and asks for it again for as long as the answer names a process that has not confirmed it: a busy machine
/// takes its time. Returns the first answer.
pub(crate) async fn change(backend: &Backend, change: CatalogueChange) -> Applied {
    let first = backend.catalogue.change(change.clone(), operator()).await.unwrap();
    if !first.gate || !first.unconfirmed.is_empty() {
        eventually("it is enforced, and everybody knows", async || {
            let again = backend.catalogue.change(change.clone(), operator()).await.unwrap();
            if again.gate && again.unconfirmed.is_empty() { Ok(()) } else { Err(again) }
        })
        .await;
    }
    first
}

pub(crate) async fn stock(backend: &Backend, of: u64) -> Option<GateStock> {
    backend.gate.stock(coupon_id(of)).await.unwrap()
}

pub(crate) async fn total_at_the_gate(backend: &Backend, of: u64) -> u32 {
    stock(backend, of).await.map_or(0, |stock| stock.total)
}

#[test]
fn when_a_change_is_answered_the_gate_enforces_it_and_every_process_goes_by_it() {
    run(&Bench::servers(), async |bench| {
        let (one, consumer) = (process(bench, Role::Api), process(bench, Role::Consumer));
        let other = process(bench, Role::All);
        for user in [1, 2] {
            assert_eq!(grab(&one, bench, user, SCARCE).await, Decision::Granted(0));
        }
        assert_eq!(grab(&other, bench, 3, SCARCE).await, Decision::OutOfStock);
        let applied = change(&one, total(SCARCE, 3)).await;
        for process in [&one, &consumer, &other] {
            assert_eq!(process.catalogue.version(), applied.version);
        }
        assert_eq!(grab(&other, bench, 3, SCARCE).await, Decision::Granted(0));
        let withdrawn = change(&other, patch(SCARCE, CouponPatch::withdrawal())).await;
        assert_eq!(withdrawn.version, applied.version + 1);
        assert_eq!(grab(&one, bench, 4, SCARCE).await, Decision::InvalidTime);
        let again = change(&one, patch(SCARCE, CouponPatch::withdrawal())).await;
        assert_eq!((again.changed, again.version), (false, withdrawn.version));
        one.lifecycle.drain().await.unwrap();
        assert_eq!(remaining(&one, SCARCE).await, 0);
        for process in [one, other, consumer] {
            process.lifecycle.close();
        }
    });
}

#[test]
fn a_total_below_what_is_sold_sells_nothing_more_until_it_is_above_it_again() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        for user in 1..=3 {
            assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
        }
        change(&backend, total(PLENTY, 2)).await;
        assert_eq!(grab(&backend, bench, 4, PLENTY).await, Decision::OutOfStock);
        backend.lifecycle.drain().await.unwrap();
        assert_eq!((remaining(&backend, PLENTY).await, backend.catalogue.set_aside().0), (0, 0));
        change(&backend, total(PLENTY, 4)).await;
        assert_eq!(grab(&backend, bench, 4, PLENTY).await, Decision::Granted(0));
        assert_eq!(grab(&backend, bench, 5, PLENTY).await, Decision::OutOfStock);
        backend.lifecycle.drain().await.unwrap();
        let log = bench.log_of(PLENTY).await;
        assert!(log.windows(2).all(|lines| lines[0].2 == lines[1].1), "{log:?}");
        assert_eq!(log.last().unwrap().2, 0, "{log:?}");
        backend.lifecycle.close();
    });
}

#[test]
fn a_change_whose_process_is_gone_before_the_gate_has_it_is_finished_by_another() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        // As far as a process came that was killed right after main's transaction.
        let made = bench.connect().await.main.change(&total(SCARCE, 9), &operator()).await.unwrap();
        until("the gate has it", async || total_at_the_gate(&backend, SCARCE).await == 9).await;
        until("it is gone by", async || backend.catalogue.version() == made.version).await;
        // Asked for again, it is so already, and enforced.
        let again = change(&backend, total(SCARCE, 9)).await;
        assert_eq!((again.changed, again.version), (false, made.version));
        backend.lifecycle.close();
    });
}

#[test]
fn a_total_that_changes_while_the_gate_is_filled_is_that_of_the_gate_that_opens() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        for round in 0..4_u64 {
            let (before, wanted) = (epoch_of(&backend).await, 10 + u32::try_from(round).unwrap());
            unlink(bench, names(bench, &backend).holders(before, coupon_id(SCARCE))).await;
            decide(&backend, &[attempt(&backend, bench, 2, SCARCE)]).await;
            // At any moment of the filling, from one round to the next.
            tokio::time::sleep(Duration::from_millis(200 * round)).await;
            let applied = backend.catalogue.change(total(SCARCE, wanted), operator()).await.unwrap();
            assert!(applied.changed, "{applied:?}");
            filled_after(&backend, before).await;
            assert_eq!(
                stock(&backend, SCARCE).await,
                Some(GateStock { total: wanted, sold: 1 }),
                "round {round}"
            );
        }
        backend.lifecycle.close();
    });
}

#[test]
fn what_a_person_changes_in_main_is_taken_over_as_a_change_of_its_own() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (process(bench, Role::All), process(bench, Role::Api));
        bench.edit_main(&format!("UPDATE coupons SET status = 0 WHERE coupon_id = {PLENTY}")).await;
        bench
            .edit_main(&format!("UPDATE coupons SET end_time = end_time + 1 WHERE coupon_id = {ENDED}"))
            .await;
        until("both go by it", async || one.catalogue.version() == 1 && other.catalogue.version() == 1).await;
        assert_eq!(grab(&one, bench, 1, PLENTY).await, Decision::InvalidTime);
        assert_eq!(grab(&other, bench, 1, PLENTY).await, Decision::InvalidTime);
        let changes = one.catalogue.changes(10).await.unwrap();
        let told: Vec<(&str, &str)> =
            changes.iter().map(|change| (change.operator.as_str(), change.what.as_str())).collect();
        assert_eq!(told, [("by hand", "status 1 → 0")], "of one that is over nobody has to hear");
        bench.edit_main(&format!("DELETE FROM coupons WHERE coupon_id = {SCARCE}")).await;
        until("it is gone by", async || one.catalogue.version() == 2 && other.catalogue.version() == 2).await;
        assert_eq!(grab(&one, bench, 1, SCARCE).await, Decision::InvalidTime);
        one.lifecycle.close();
        other.lifecycle.close();
    });
}

#[test]
fn a_coupon_that_was_over_for_long_comes_back_with_those_who_hold_it() {
    let bench = Bench::servers();
    run(&bench, async |bench| {
        let long_ago = at(-48 * HOUR).millis();
        bench.edit_main(&format!("UPDATE coupons SET end_time = {long_ago} WHERE coupon_id = {ENDED}")).await;
        let backend = bench.open();
        assert_eq!(stock(&backend, ENDED).await, None, "it is in no gate");
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 31, ENDED)]).await, [Decision::InvalidTime]);
        let later = CouponPatch { end_time: Some(at(HOUR)), ..CouponPatch::default() };
        change(&backend, patch(ENDED, later)).await;
        assert_eq!(stock(&backend, ENDED).await, Some(GateStock { total: 50, sold: 30 }));
        let asked = [attempt(&backend, bench, 7, ENDED), attempt(&backend, bench, 31, ENDED)];
        let decided = decide(&backend, &asked).await;
        assert!(matches!(decided[..], [Decision::Duplicate(_), Decision::Granted(0)]), "{decided:?}");
        backend.lifecycle.close();
    });
}

#[test]
fn a_coupon_that_was_made_is_granted_at_once_by_every_process_in_the_epoch_that_is_open() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (process(bench, Role::All), process(bench, Role::Api));
        let epoch = epoch_of(&one).await;
        change(&one, new_coupon()).await;
        assert_eq!(grab(&other, bench, 1, NEW).await, Decision::Granted(0));
        assert_eq!(grab(&one, bench, 2, NEW).await, Decision::OutOfStock);
        one.lifecycle.drain().await.unwrap();
        assert_eq!((remaining(&one, NEW).await, epoch_of(&one).await), (0, epoch));
        assert_eq!(held_by(&other, 1).await.iter().filter(|row| row.coupon_id == coupon_id(NEW)).count(), 1);
        assert_eq!(bench.log_of(NEW).await.first().unwrap(), &(1, 0, 1, "olga".to_owned()));
        // It stays in a gate that is filled anew.
        unlink(bench, names(bench, &one).holders(epoch, coupon_id(SCARCE))).await;
        decide(&one, &[attempt(&one, bench, 2, SCARCE)]).await;
        filled_after(&one, epoch).await;
        assert_eq!(stock(&one, NEW).await, Some(GateStock { total: 1, sold: 1 }));
        one.lifecycle.close();
        other.lifecycle.close();
    });
}

#[test]
fn users_who_were_added_may_grab_by_every_process_and_those_who_are_not_active_may_not() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (process(bench, Role::All), process(bench, Role::Api));
        let user = |id: u64, is_active| NewUser {
            user_id: UserId::new(id).unwrap(),
            username: format!("user{id}"),
            phone: String::new(),
            email: String::new(),
            user_level: UserLevel::Normal,
            is_active,
        };
        let users = vec![user(901, true), user(1, true), user(900, false)];
        let applied = change(&one, CatalogueChange::AddUsers(users)).await;
        assert_eq!(applied.added, 2);
        for process in [&one, &other] {
            let offer = |id| process.catalogue.known().offer(UserId::new(id).unwrap(), coupon_id(PLENTY));
            assert!(matches!(offer(901), Offer::InRoom(_)));
            assert_eq!((offer(900), offer(902)), (Offer::InactiveUser, Offer::UnknownUser));
        }
        assert_eq!(grab(&other, bench, 901, PLENTY).await, Decision::Granted(0));
        one.lifecycle.close();
        other.lifecycle.close();
    });
}

#[test]
fn a_gate_by_a_catalogue_that_main_has_forgotten_is_filled_anew() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        change(&backend, total(SCARCE, 9)).await;
        let forgotten = "UPDATE coupons SET total_stock = 2, remaining_stock = 2 WHERE coupon_id = 1; \
                         DELETE FROM catalogue_changes; UPDATE catalogue_state SET version = 0";
        for statement in forgotten.split("; ") {
            bench.edit_main(statement).await;
        }
        filled_after(&backend, before).await;
        assert_eq!(total_at_the_gate(&backend, SCARCE).await, 2);
        until("it is gone by", async || backend.catalogue.version() == 0).await;
        change(&backend, total(SCARCE, 5)).await;
        assert_eq!(total_at_the_gate(&backend, SCARCE).await, 5);
        backend.lifecycle.close();
    });
}

#[test]
fn a_process_that_ends_is_not_waited_for() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (process(bench, Role::All), process(bench, Role::Api));
        other.lifecycle.close();
        drop(other);
        let applied = change(&one, total(SCARCE, 3)).await;
        assert_eq!(bench.connect().await.main.behind(applied.version + 1).await.unwrap().len(), 1);
        one.lifecycle.close();
    });
}
