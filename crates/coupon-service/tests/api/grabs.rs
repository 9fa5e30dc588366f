use coupon_service::api::{GrabResponse, ResultAnswer, ResultPage, StockView};

use crate::fixture::{Api, EARLY, ENDED, INACTIVE, NOW, NOWHERE, PLENTY, SCARCE, WITHDRAWN};

#[test]
fn a_grab_gets_the_coupon_and_can_be_read_back_at_once() {
    let api = Api::start();
    let granted = api.grab(7, PLENTY);
    assert_eq!((granted.grab_status, granted.fail_reason), (1, None));
    assert_eq!((granted.user_id, granted.coupon_id, granted.room_id), (7, PLENTY, 1));
    let id = granted.result_id.unwrap();
    assert!(granted.grab_time.unwrap().as_str() >= NOW);

    let held: ResultPage = api.get("/api/user/7/coupons").json();
    assert_eq!(held.items.first().unwrap().result_id, id);
    let found: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!((found.result.user_id, found.result.coupon_id, found.result.use_status), (7, PLENTY, 0));
    assert!(found.place.unwrap().table.starts_with("coupon_results"));
}

#[test]
fn a_second_grab_is_a_duplicate_and_names_the_result_held() {
    let api = Api::start();
    let (first, second) = (api.grab(7, PLENTY), api.grab(7, PLENTY));
    assert_eq!((second.grab_status, second.fail_reason.as_deref()), (0, Some("duplicate")));
    assert_eq!((second.result_id, second.grab_time), (first.result_id, first.grab_time));
}

#[test]
fn a_sold_out_coupon_is_refused() {
    let api = Api::start();
    let statuses: Vec<u8> = (1..=5).map(|user| api.grab(user, SCARCE).grab_status).collect();
    assert_eq!(statuses, [1, 1, 1, 0, 0]);
    let refused = api.grab(6, SCARCE);
    assert_eq!(refused.fail_reason.as_deref(), Some("out_of_stock"));
    assert_eq!((refused.result_id, refused.grab_time), (None, None));
    let stock: StockView = api.get(&format!("/api/coupon/{SCARCE}/stock")).json();
    assert_eq!((stock.total_stock, stock.remaining_stock, stock.sold), (3, 0, 3));
}

#[test]
fn a_coupon_outside_its_window_is_refused() {
    let api = Api::start();
    for coupon in [EARLY, ENDED, WITHDRAWN] {
        assert_eq!(api.grab(40, coupon).fail_reason.as_deref(), Some("invalid_time"), "{coupon}");
    }
}

#[test]
fn the_room_may_be_left_out_null_or_right_but_not_another() {
    let api = Api::start();
    let grab = |user: u64, room: &str| {
        api.post("/api/coupon/grab", &format!(r#"{{"user_id":{user},"coupon_id":{PLENTY}{room}}}"#))
    };
    for (user, room) in [(1, ""), (2, r#","room_id":null"#), (3, r#","room_id":1"#)] {
        assert_eq!(grab(user, room).json::<GrabResponse>().grab_status, 1, "{room}");
    }
    let problem = grab(4, r#","room_id":2"#).problem(422);
    assert_eq!(
        (problem.kind.as_str(), problem.field.as_deref()),
        ("/problems/room-mismatch", Some("room_id"))
    );
    assert!(problem.detail.contains("room 1"), "{}", problem.detail);
    let stock: StockView = api.get(&format!("/api/coupon/{PLENTY}/stock")).json();
    assert_eq!(stock.sold, 3);
}

#[test]
fn a_result_that_the_strategy_has_no_place_for_is_not_to_be_asked_for_again() {
    let api = Api::start();
    let answer = api.post("/api/coupon/grab", &format!(r#"{{"user_id":1,"coupon_id":{NOWHERE}}}"#));
    assert_eq!(
        (answer.problem(422).kind.as_str(), answer.header("retry-after")),
        ("/problems/no-place", None)
    );
    let stock: StockView = api.get(&format!("/api/coupon/{NOWHERE}/stock")).json();
    assert_eq!(stock.sold, 0);
}

#[test]
fn an_unknown_coupon_or_user_is_not_found() {
    let api = Api::start();
    for (body, kind, field) in [
        (r#"{"user_id":1,"coupon_id":999}"#, "/problems/unknown-coupon", "coupon_id"),
        (r#"{"user_id":999,"coupon_id":2}"#, "/problems/unknown-user", "user_id"),
    ] {
        let problem = api.post("/api/coupon/grab", body).problem(404);
        assert_eq!((problem.kind.as_str(), problem.field.as_deref()), (kind, Some(field)));
    }
}

#[test]
fn a_user_who_is_not_active_gets_nothing_and_takes_no_stock() {
    let api = Api::start();
    let body = format!(r#"{{"user_id":{INACTIVE},"coupon_id":{PLENTY}}}"#);
    let problem = api.post("/api/coupon/grab", &body).problem(403);
    assert_eq!(
        (problem.kind.as_str(), problem.field.as_deref()),
        ("/problems/inactive-user", Some("user_id"))
    );
    let stock: StockView = api.get(&format!("/api/coupon/{PLENTY}/stock")).json();
    assert_eq!(stock.sold, 0);
    let held: ResultPage = api.get(&format!("/api/user/{INACTIVE}/coupons")).json();
    assert!(held.items.is_empty(), "the user is there all the same");
}

#[test]
fn the_echo_is_there_only_when_asked_for() {
    let body = r#"{"user_id":1,"coupon_id":999}"#;
    Api::start().post("/bench/echo", body).problem(404);
    let api = Api::with(&["bench.echo=true"]);
    let echo: GrabResponse = api.post("/bench/echo", body).json();
    assert_eq!((echo.user_id, echo.coupon_id, echo.grab_status), (1, 999, 1));
    api.post("/bench/echo", r#"{"user_id":0,"coupon_id":999}"#).problem(422);
}
