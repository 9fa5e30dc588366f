use coupon_service::api::{GlobalStatistics, ResultAnswer, ResultPage};

use crate::fixture::{Api, ENDED, NOW, PLENTY, WITHDRAWN};

fn spend(user: u64, id: &str, amount: &str) -> String {
    format!(r#"{{"user_id":{user},"result_id":"{id}","order_amount":{amount}}}"#)
}

#[test]
fn a_coupon_is_spent_once() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    let answer = api.post("/api/coupon/use", &spend(7, &id, "159.90"));
    let spent: ResultAnswer = answer.json();
    assert_eq!((spent.result.use_status, spent.result.order_amount), (1, Some(159.9)));
    assert!(spent.result.use_time.as_deref().unwrap() >= NOW);
    assert!(answer.header("server-timing").unwrap().starts_with("shard3;dur="));
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!(stored.result, spent.result);

    // The same order asked for again gets the same answer; another one is refused.
    let again: ResultAnswer = api.post("/api/coupon/use", &spend(7, &id, "159.9")).json();
    assert_eq!(again.result, spent.result);
    let problem = api.post("/api/coupon/use", &spend(7, &id, "10")).problem(409);
    assert_eq!(problem.kind, "/problems/already-used");
    let sums: GlobalStatistics = api.get("/api/statistics/global").json();
    assert_eq!((sums.used, sums.order_amount), (1, 159.9));
}

#[test]
fn a_coupon_is_spent_after_its_end_and_after_it_was_withdrawn() {
    let api = Api::start();
    let held: ResultPage = api.get("/api/user/3/coupons").json();
    let ended = held.items.first().unwrap();
    assert_eq!(ended.coupon_id, ENDED);
    let withdrawn = api.held_before(33, WITHDRAWN, 2);
    for (user, id) in [(3, &ended.result_id), (33, &withdrawn)] {
        let spent: ResultAnswer = api.post("/api/coupon/use", &spend(user, id, "99")).json();
        assert_eq!((spent.result.use_status, spent.result.order_amount), (1, Some(99.0)));
    }
}

#[test]
fn a_coupon_is_spent_no_earlier_than_it_was_grabbed_although_the_clock_was_put_back_since() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    api.clock.set(api.clock.now().plus_millis(-3_600_000));
    let spent: ResultAnswer = api.post("/api/coupon/use", &spend(7, &id, "159.9")).json();
    assert_eq!(spent.result.use_status, 1);
    assert!(spent.result.use_time.unwrap() >= spent.result.grab_time);
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert!(stored.result.use_time.unwrap() >= stored.result.grab_time);
}

#[test]
fn an_order_below_the_coupons_minimum_spends_nothing() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    let problem = api.post("/api/coupon/use", &spend(7, &id, "98.99")).problem(422);
    assert_eq!(
        (problem.kind.as_str(), problem.field.as_deref()),
        ("/problems/below-minimum", Some("order_amount"))
    );
    assert!(problem.detail.contains("99"), "{}", problem.detail);
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!((stored.result.use_status, stored.result.order_amount), (0, None));
    let spent: ResultAnswer = api.post("/api/coupon/use", &spend(7, &id, "99.00")).json();
    assert_eq!(spent.result.use_status, 1);
    // Spent is spent, whatever the amount.
    api.post("/api/coupon/use", &spend(7, &id, "1")).problem(409);
}

#[test]
fn one_order_asked_for_many_times_at_once_is_told_the_same_every_time() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    let request = crate::client::post("/api/coupon/use", &spend(7, &id, "159.9"));
    let mut connections: Vec<_> = (0..20).map(|_| api.connect()).collect();
    connections.iter_mut().for_each(|connection| connection.send(&request));
    let answers = connections.iter_mut().map(|connection| connection.receive(false).json::<ResultAnswer>());
    let mut results: Vec<_> = answers.map(|answer| answer.result).collect();
    results.dedup();
    assert_eq!(results.len(), 1, "{results:?}");
    let sums: GlobalStatistics = api.get("/api/statistics/global").json();
    assert_eq!((sums.used, sums.order_amount), (1, 159.9));
}

#[test]
fn only_who_holds_a_coupon_can_spend_it() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    for (user, id) in [(11, id.as_str()), (8, id.as_str()), (999, id.as_str()), (7, "1")] {
        let problem = api.post("/api/coupon/use", &spend(user, id, "1")).problem(404);
        assert_eq!(problem.field.as_deref(), Some("result_id"));
    }
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!(stored.result.use_status, 0);
}

#[test]
fn a_result_is_found_without_its_user() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    let found: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!((found.result.user_id, found.plan.shards), (7, vec![0, 1, 2, 3]));
    for (id, status) in
        [("1", 404), ("9223372036854775807", 404), ("9223372036854775808", 422), ("-1", 422), ("abc", 400)]
    {
        let problem = api.get(&format!("/api/result/{id}")).problem(status);
        assert_eq!(problem.field.as_deref(), Some("result_id"), "{id}");
    }
}

#[test]
fn an_amount_that_cannot_be_meant_spends_nothing() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    for (amount, status) in [
        ("-0.01", 422),
        ("1000000000.01", 422),
        ("1e300", 422),
        ("0.001", 422),
        ("1.005", 422),
        ("59.900000000000000001", 422),
        ("\"5\"", 400),
        ("null", 400),
        ("[]", 400),
    ] {
        let problem = api.post("/api/coupon/use", &spend(7, &id, amount)).problem(status);
        assert_eq!(problem.field.as_deref(), Some("order_amount"), "{amount}");
    }
    for (body, status, field) in [
        (spend(0, &id, "1"), 422, "user_id"),
        (spend(7, "x", "1"), 400, "result_id"),
        (spend(7, "-5", "1"), 422, "result_id"),
        (format!(r#"{{"user_id":7,"result_id":{id},"order_amount":1}}"#), 400, "result_id"),
        (format!(r#"{{"user_id":7,"result_id":"{id}"}}"#), 400, "order_amount"),
    ] {
        let problem = api.post("/api/coupon/use", &body).problem(status);
        assert_eq!(problem.field.as_deref(), Some(field), "{body}");
    }
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!(stored.result.use_status, 0);
}
