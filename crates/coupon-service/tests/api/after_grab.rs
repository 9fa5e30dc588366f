//! A result after its grab: held, confirmed, released, returned, expired.

use coupon_service::api::{CouponView, GlobalStatistics, ResultAnswer, ResultPage, ResultView};

use crate::api::identity::token;
use crate::fixture::{Api, ENDED, HOLDING, PLENTY, RETURNABLE, until};

const SECRET: &str = "a secret of more than 32 characters";
const OPERATOR: &str = "Authorization: Bearer open sesame\r\n";
const TEN_MINUTES: i64 = 600_000;

/// The result as a step leaves it, which is as it is stored.
fn taken(api: &Api, word: &str, user: u64, id: &str) -> ResultView {
    let answer = api.step(word, user, id);
    let result = answer.json::<ResultAnswer>().result;
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!(stored.result, result);
    result
}

/// A result that is held.
fn held(api: &Api, user: u64, request: &str) -> String {
    let granted = api.request(user, HOLDING, request);
    assert_eq!(granted.state.as_deref(), Some("held"), "{granted:?}");
    granted.result_id.unwrap()
}

#[test]
fn what_is_held_is_confirmed_and_then_used() {
    let api = Api::start();
    let granted = api.request(7, HOLDING, "cart-81");
    let until = granted.hold_until.clone().unwrap();
    let id = granted.result_id.unwrap();
    let problem = api.step("use", 7, &id).problem(409);
    assert_eq!(
        (problem.kind.as_str(), problem.field.as_deref()),
        ("/problems/still-held", Some("result_id"))
    );
    assert!(problem.detail.contains(&until), "{}", problem.detail);

    let confirmed = taken(&api, "confirm", 7, &id);
    assert_eq!((confirmed.state.as_str(), confirmed.hold_until.as_deref()), ("owned", Some(until.as_str())));
    assert_eq!(taken(&api, "confirm", 7, &id), confirmed, "asked for again");
    assert_eq!(api.step("release", 7, &id).problem(409).kind, "/problems/already-owned");
    let used = taken(&api, "use", 7, &id);
    assert_eq!((used.state.as_str(), used.use_status), ("used", 1));
    assert_eq!(taken(&api, "confirm", 7, &id), used, "it was confirmed once");
    assert_eq!(api.step("return", 7, &id).problem(409).kind, "/problems/already-used");
    assert_eq!(api.left(HOLDING), 2);
}

#[test]
fn what_is_released_can_be_grabbed_by_anybody_once_more() {
    let api = Api::start();
    let ids = [held(&api, 1, "a"), held(&api, 1, "b"), held(&api, 2, "a")];
    assert_eq!(api.request(3, HOLDING, "a").fail_reason.as_deref(), Some("out_of_stock"));
    let released = taken(&api, "release", 1, &ids[0]);
    assert_eq!(released.state, "released");
    assert_eq!(taken(&api, "release", 1, &ids[0]), released, "asked for again");
    assert_eq!(api.step("confirm", 1, &ids[0]).problem(409).kind, "/problems/already-released");
    assert_eq!(api.left(HOLDING), 1);
    held(&api, 3, "b");
    assert_eq!(api.left(HOLDING), 0);
    let sums: GlobalStatistics = api.get("/api/statistics/global").json();
    assert_eq!((sums.results, sums.given_back), (34, 1));
    assert_eq!(sums.shards.iter().map(|shard| shard.given_back).collect::<Vec<_>>(), [0, 1, 0, 0]);
}

#[test]
fn a_hold_is_over_at_its_moment_and_gives_its_stock_back_by_itself() {
    let api = Api::start();
    let (id, kept) = (held(&api, 7, "a"), held(&api, 7, "b"));
    api.step("confirm", 7, &kept).json::<ResultAnswer>();
    api.clock.set(api.clock.now().plus_millis(TEN_MINUTES));
    let problem = api.step("confirm", 7, &id).problem(409);
    assert_eq!(problem.kind, "/problems/hold-expired");
    until("the hold expires", || api.left(HOLDING) == 2);
    let stored: ResultAnswer = api.get(&format!("/api/result/{id}")).json();
    assert_eq!(stored.result.state, "expired");
    assert_eq!(api.step("confirm", 7, &id).problem(409).kind, "/problems/hold-expired");
    assert_eq!(api.step("release", 7, &id).problem(409).kind, "/problems/hold-expired");
    held(&api, 7, "c");
}

#[test]
fn a_request_asked_for_again_is_the_same_grab_and_another_is_another() {
    let api = Api::start();
    let first = api.request(7, HOLDING, "a");
    let again = api.request(7, HOLDING, "a");
    assert_eq!((again.grab_status, &again.result_id), (1, &first.result_id));
    assert_eq!((&again.state, &again.hold_until), (&first.state, &first.hold_until));
    let second = api.request(7, HOLDING, "b");
    assert!(second.grab_status == 1 && second.result_id > first.result_id);
    let third = api.request(7, HOLDING, "c");
    assert_eq!((third.fail_reason.as_deref(), &third.result_id), (Some("duplicate"), &first.result_id));
    assert_eq!(third.state, None);
    // Also once it gave its stock back, whatever the request would get by now.
    api.step("release", 7, first.result_id.as_deref().unwrap()).json::<ResultAnswer>();
    let released = api.request(7, HOLDING, "a");
    assert_eq!((released.grab_status, &released.result_id), (1, &first.result_id));
    assert_eq!(api.left(HOLDING), 2);
    // On other coupons the name is free to give, and says which grab is meant.
    let (plain, again) = (api.request(7, PLENTY, "a"), api.request(7, PLENTY, "a"));
    assert_eq!((again.grab_status, again.result_id), (1, plain.result_id));
    assert_eq!(api.grab(7, PLENTY).fail_reason.as_deref(), Some("duplicate"));
}

#[test]
fn a_grab_that_must_name_its_request_says_so_and_takes_no_stock() {
    let api = Api::start();
    for (request, status, kind) in [
        ("", 422, "/problems/request-not-named"),
        (r#","request_id":null"#, 422, "/problems/request-not-named"),
        (r#","request_id":"""#, 422, "/problems/out-of-range"),
        (&format!(r#","request_id":"{}""#, "x".repeat(65)), 422, "/problems/out-of-range"),
        (r#","request_id":5"#, 400, "/problems/malformed-request"),
    ] {
        let body = format!(r#"{{"user_id":7,"coupon_id":{HOLDING}{request}}}"#);
        let problem = api.post("/api/coupon/grab", &body).problem(status);
        assert_eq!((problem.kind.as_str(), problem.field.as_deref()), (kind, Some("request_id")), "{body}");
    }
    assert_eq!(api.left(HOLDING), 3);
}

#[test]
fn users_hand_back_what_they_own_where_the_coupon_lets_them() {
    let api = Api::start();
    let id = api.grab(7, RETURNABLE).result_id.unwrap();
    let returned = taken(&api, "return", 7, &id);
    assert_eq!(returned.state, "returned");
    assert_eq!(taken(&api, "return", 7, &id), returned, "asked for again");
    assert_eq!(api.step("use", 7, &id).problem(409).kind, "/problems/already-returned");
    assert_eq!(api.left(RETURNABLE), 3);
    let next = api.grab(7, RETURNABLE);
    assert!(next.grab_status == 1 && next.result_id.unwrap() > id);

    let id = api.grab(7, PLENTY).result_id.unwrap();
    let problem = api.step("return", 7, &id).problem(403);
    assert_eq!(
        (problem.kind.as_str(), problem.field.as_deref()),
        ("/problems/not-returnable", Some("result_id"))
    );
    assert!(problem.detail.contains("the token that admin.token sets"), "{}", problem.detail);
    assert_eq!(api.left(PLENTY), 999);
}

#[test]
fn operators_take_every_step_for_any_user_and_take_back_any_coupon() {
    let tokens = format!("users.token_secret={SECRET}");
    let api = Api::with(&["admin.token=open sesame", &tokens]);
    let grab = |user: u64, coupon: u64| {
        let body = format!(r#"{{"user_id":{user},"coupon_id":{coupon},"request_id":"a"}}"#);
        let headers = format!("Content-Type: application/json\r\n{}", token(SECRET, user, 3_600_000));
        let answer = api.send(&crate::client::request("POST", "/api/coupon/grab", &headers, body.as_bytes()));
        answer.json::<coupon_service::api::GrabResponse>().result_id.unwrap()
    };
    let (plain, held, given_up) = (grab(7, PLENTY), grab(8, HOLDING), grab(9, HOLDING));
    for header in ["", "Authorization: Bearer open\r\n", &token(SECRET, 8, 3_600_000)] {
        let refused = api.step_with(header, "return", 7, &plain);
        assert!(matches!(refused.status, 401 | 403), "{header}: {}", refused.text());
    }
    for (word, user, id) in
        [("confirm", 8, &held), ("use", 8, &held), ("release", 9, &given_up), ("return", 7, &plain)]
    {
        api.step_with(OPERATOR, word, user, id).json::<ResultAnswer>();
    }
    assert_eq!((api.left(PLENTY), api.left(HOLDING)), (1_000, 2));
    // A result is not found under another user, not even by an operator.
    api.step_with(OPERATOR, "confirm", 9, &held).problem(404);
    // An operator grabs nothing.
    let body = format!(r#"{{"user_id":7,"coupon_id":{PLENTY}}}"#);
    let headers = format!("Content-Type: application/json\r\n{OPERATOR}");
    api.send(&crate::client::request("POST", "/api/coupon/grab", &headers, body.as_bytes())).problem(401);
}

#[test]
fn without_a_token_set_nobody_is_an_operator() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    for header in ["", "Authorization: Bearer \r\n", OPERATOR] {
        assert_eq!(api.step_with(header, "return", 7, &id).problem(403).kind, "/problems/not-returnable");
    }
}

#[test]
fn a_step_of_what_is_not_there_is_not_found_and_a_body_that_cannot_be_meant_is_named() {
    let api = Api::start();
    let id = held(&api, 7, "a");
    for word in ["confirm", "release", "return", "use"] {
        for (user, id) in [(11, id.as_str()), (8, id.as_str()), (999, id.as_str()), (7, "1")] {
            let problem = api.step(word, user, id).problem(404);
            assert_eq!(problem.field.as_deref(), Some("result_id"), "{word}");
        }
        for (user, id, status, field) in
            [(0, id.as_str(), 422, "user_id"), (7, "x", 400, "result_id"), (7, "-5", 422, "result_id")]
        {
            assert_eq!(api.step(word, user, id).problem(status).field.as_deref(), Some(field), "{word}");
        }
    }
    let more = format!(r#"{{"user_id":7,"result_id":"{id}","order_amount":1}}"#);
    assert_eq!(api.post("/api/coupon/confirm", &more).problem(400).field.as_deref(), Some("order_amount"));
    assert_eq!(taken(&api, "confirm", 7, &id).state, "owned");
}

#[test]
fn lists_show_the_state_of_results_and_only_those_of_one_if_asked() {
    let api = Api::start();
    let ids: Vec<String> = (1..=3).map(|user| held(&api, user, "a")).collect();
    api.step("confirm", 1, &ids[0]).json::<ResultAnswer>();
    api.step("release", 2, &ids[1]).json::<ResultAnswer>();
    let states = |path: &str| {
        let page: ResultPage = api.get(path).json();
        page.items.into_iter().map(|item| item.state).collect::<Vec<_>>()
    };
    assert_eq!(states("/api/room/1/orders"), ["held", "released", "owned"]);
    for (state, found) in [("held", 1), ("owned", 1), ("used", 0), ("released", 1), ("expired", 0)] {
        assert_eq!(states(&format!("/api/room/1/orders?state={state}")), vec![state; found]);
        assert_eq!(
            states(&format!("/api/orders/recent?state={state}")).len(),
            if state == "owned" { 3 } else { found }
        );
    }
    assert_eq!(states("/api/user/2/coupons"), ["released", "owned"]);
    assert_eq!(states("/api/user/2/coupons?state=owned"), ["owned"]);
    for wrong in ["gone", "", "Held", "1"] {
        let problem = api.get(&format!("/api/room/1/orders?state={wrong}")).problem(400);
        assert_eq!(problem.field.as_deref(), Some("state"), "{wrong}");
    }
}

#[test]
fn later_pages_keep_the_state_of_the_first() {
    let api = Api::start();
    api.step("use", 3, &api.get("/api/user/3/coupons").json::<ResultPage>().items[0].result_id)
        .json::<ResultAnswer>();
    let first: ResultPage = api.get("/api/room/2/orders?state=owned&limit=10").json();
    let cursor = first.next_cursor.unwrap();
    for state in ["", "&state=owned"] {
        let rest: ResultPage = api.get(&format!("/api/room/2/orders?cursor={cursor}{state}")).json();
        assert_eq!((first.items.len(), rest.items.len()), (10, 19));
        assert!(
            first
                .items
                .iter()
                .chain(&rest.items)
                .all(|item| item.state == "owned" && item.coupon_id == ENDED)
        );
    }
    let other = api.get(&format!("/api/room/2/orders?cursor={cursor}&state=used")).problem(400);
    assert_eq!(other.field.as_deref(), Some("cursor"));
}

#[test]
fn a_coupon_says_on_what_terms_it_is_grabbed() {
    let api = Api::start();
    let terms = |coupon: u64| {
        let coupon: CouponView = api.get(&format!("/api/coupon/{coupon}")).json();
        (coupon.hold_s, coupon.user_limit, coupon.returnable)
    };
    assert_eq!(
        (terms(PLENTY), terms(HOLDING), terms(RETURNABLE)),
        ((0, 1, false), (600, 2, false), (0, 1, true))
    );
}
