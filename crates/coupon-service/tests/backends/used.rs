//! Spending a coupon, as clients see it.

use coupon_service::api::{GrabResponse, ResultAnswer, ResultPage};

use crate::bench::{Bench, ENDED, INACTIVE, PLENTY};
use crate::served::Served;

pub(crate) async fn an_order_asked_for_again_is_told_what_it_was_told_before(bench: &Bench) {
    let service = Served::start(bench, &[]);
    let granted: GrabResponse = service.grab(7, PLENTY).json();
    let id = granted.result_id.unwrap();
    service.drain();
    assert_eq!(
        service.spend(7, &id, 98.99).problem(422).kind,
        "/problems/below-minimum",
        "an order must come to 99.00"
    );
    let first: ResultAnswer = service.spend(7, &id, 120.5).json();
    let again: ResultAnswer = service.spend(7, &id, 120.5).json();
    assert_eq!((first.result.use_status, first.result), (1, again.result.clone()));
    service.spend(7, &id, 121.0).problem(409);
    // A process that was started since gives the same answer.
    drop(service);
    let service = Served::start(bench, &[]);
    let later: ResultAnswer = service.spend(7, &id, 120.5).json();
    assert_eq!(later.result, again.result);
}

pub(crate) async fn a_coupon_can_be_used_after_its_end_and_after_its_withdrawal(bench: &Bench) {
    let service = Served::start(bench, &[]);
    let held = |user: u64| {
        let page: ResultPage = service.get(&format!("/api/user/{user}/coupons")).json();
        page.items.iter().find(|item| item.coupon_id == ENDED).unwrap().result_id.clone()
    };
    let (over, withdrawn) = (held(5), held(6));
    assert_eq!(service.spend(5, &over, 99.0).json::<ResultAnswer>().result.use_status, 1);
    bench.edit_main(&format!("UPDATE coupons SET status = 0 WHERE coupon_id = {ENDED}")).await;
    drop(service);
    let service = Served::start(bench, &[]);
    assert_eq!(service.spend(6, &withdrawn, 99.0).json::<ResultAnswer>().result.use_status, 1);
}

pub(crate) async fn a_user_who_is_not_active_grabs_nothing(bench: &Bench) {
    let service = Served::start(bench, &[]);
    assert_eq!(service.grab(INACTIVE, PLENTY).problem(403).kind, "/problems/inactive-user");
    let held: ResultPage = service.get(&format!("/api/user/{INACTIVE}/coupons")).json();
    assert!(held.items.is_empty());
}
