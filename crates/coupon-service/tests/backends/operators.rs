//! Changes of the catalogue over HTTP, as operators and clients see them.

use coupon_core::Timestamp;
use coupon_service::api::{
    CatalogueChanged, ChangeList, CouponView, GrabResponse, OfferPage, ResultAnswer, StockView,
};

use crate::bench::{Bench, PLENTY, SCARCE, USERS};
use crate::client::request;
use crate::served::Served;

const JSON: &str = "Content-Type: application/json\r\nX-Operator: Ann\r\n";

/// A service that takes grabs.
fn started(bench: &Bench) -> Served {
    let service = Served::start(bench, &[]);
    service.becomes(200);
    service
}

/// A change that is made, in force, and confirmed by every process.
fn changed(service: &Served, method: &str, path: &str, body: &str) -> CatalogueChanged {
    let answer: CatalogueChanged = service.send(&request(method, path, JSON, body.as_bytes())).json();
    assert!(answer.gate && answer.unconfirmed.is_empty(), "{path}: {answer:?}");
    answer
}

fn refusal(service: &Served, user: u64, coupon: u64) -> Option<String> {
    service.grab(user, coupon).json::<GrabResponse>().fail_reason
}

pub(crate) async fn an_operator_opens_sells_raises_ends_and_lists_a_sale_over_http(bench: &Bench) {
    let service = started(bench);
    let room = r#"{"room_id":9,"room_name":"nine","anchor_id":1,"start_time":"2026-11-01T00:00:00Z"}"#;
    let coupon = r#"{"coupon_id":101,"room_id":9,"coupon_name":"王's 20 off","coupon_type":1,"discount_amount":20,"total_stock":1,
        "start_time":"2026-11-01T00:00:00Z","end_time":"2099-01-01T00:00:00Z",
        "details":{"description":"Tea.","usage_rules":"Once.","product_range":{"categories":["tea"]}}}"#;
    let users = r#"{"users":[{"user_id":1001},{"user_id":1002},{"user_id":1}]}"#;
    assert_eq!(service.grab(1_001, 101).problem(404).kind, "/problems/unknown-coupon");
    for (path, body) in [("/admin/rooms", room), ("/admin/coupons", coupon), ("/admin/users", users)] {
        assert!(changed(&service, "POST", path, body).changed, "{path}");
        assert!(!changed(&service, "POST", path, body).changed, "{path}");
    }
    assert_eq!(refusal(&service, 1_001, 101), None);
    // Until it is stored, it would be the same grab once more.
    service.drain();
    assert_eq!(refusal(&service, 1_001, 101).as_deref(), Some("duplicate"));
    assert_eq!(refusal(&service, 1_002, 101).as_deref(), Some("out_of_stock"));
    assert!(changed(&service, "PATCH", "/admin/coupons/101", r#"{"total_stock":2}"#).changed);
    assert_eq!(refusal(&service, 1_002, 101), None);
    changed(&service, "POST", "/admin/coupons/101/end", "");
    assert_eq!(refusal(&service, 1, 101).as_deref(), Some("invalid_time"));
    changed(&service, "POST", "/admin/rooms/9/end", "");
    service.drain();
    let main: CouponView = service.get("/api/coupon/101?details=true").json();
    assert_eq!((main.total_stock, main.remaining_stock, main.coupon_name.as_str()), (2, 0, "王's 20 off"));
    let offers: OfferPage = service.get("/admin/coupons?room_id=9").json();
    let [offer] = &offers.items[..] else { panic!("{offers:?}") };
    assert_eq!((offer.total_stock, offer.sold, offer.held, offer.left), (2, 2, 0, 0));
    assert_eq!((offer.phase.as_str(), offer.trailing), ("over", false));
    let changes: ChangeList = service.get("/admin/changes").json();
    assert!(changes.items.iter().all(|change| change.operator == "Ann"));
    let coupons: Vec<_> = changes.items.iter().map(|change| change.coupon_id).collect();
    assert_eq!(coupons, [None, Some(101), Some(101), None, Some(101), None]);
    assert!(changes.items[2].what.contains("total_stock 1 → 2"), "{:?}", changes.items[2]);
}

pub(crate) async fn a_total_below_what_is_sold_sells_nothing_more_and_is_no_error_anywhere(bench: &Bench) {
    let service = started(bench);
    let total = |total: u32| {
        let path = format!("/admin/coupons/{PLENTY}");
        changed(&service, "PATCH", &path, &format!(r#"{{"total_stock":{total}}}"#))
    };
    for user in 1..=6 {
        assert_eq!(refusal(&service, user, PLENTY), None);
    }
    total(4);
    assert_eq!(refusal(&service, 7, PLENTY).as_deref(), Some("out_of_stock"));
    service.drain();
    let stock: StockView = service.get(&format!("/api/coupon/{PLENTY}/stock")).json();
    assert_eq!((stock.total_stock, stock.sold, stock.remaining_stock), (4, 6, 0));
    let main: CouponView = service.get(&format!("/api/coupon/{PLENTY}")).json();
    assert_eq!((main.total_stock, main.remaining_stock), (4, 0));
    total(7);
    let sold = (8..=USERS).filter(|user| refusal(&service, *user, PLENTY).is_none()).count();
    assert_eq!(sold, 1, "as many as the total leaves");
    service.drain();
    assert_eq!(service.get("/readyz").status, 200);
}

pub(crate) async fn a_coupon_that_is_over_says_how_many_were_sold_whatever_its_total_is(bench: &Bench) {
    let service = started(bench);
    for user in 1..=6 {
        assert_eq!(refusal(&service, user, PLENTY), None);
    }
    changed(&service, "PATCH", &format!("/admin/coupons/{PLENTY}"), r#"{"total_stock":4}"#);
    changed(&service, "POST", &format!("/admin/coupons/{PLENTY}/end"), "");
    service.drain();
    let told = |service: &Served| {
        let stock: StockView = service.get(&format!("/api/coupon/{PLENTY}/stock")).json();
        let offers: OfferPage = service.get("/admin/coupons?room_id=1").json();
        let offer = offers.items.iter().find(|offer| offer.coupon_id == PLENTY).unwrap();
        [(stock.total_stock, stock.sold, stock.remaining_stock), (offer.total_stock, offer.sold, offer.left)]
    };
    assert_eq!(told(&service), [(4, 6, 0); 2]);
    // A service that starts later need not have it at its gate: then main says so.
    drop(service);
    assert_eq!(told(&started(bench)), [(4, 6, 0); 2]);
}

pub(crate) async fn a_coupon_that_was_withdrawn_is_offered_again_and_its_holders_have_it_still(
    bench: &Bench,
) {
    let service = started(bench);
    assert_eq!(refusal(&service, 1, SCARCE), None);
    service.drain();
    changed(&service, "POST", &format!("/admin/coupons/{SCARCE}/withdraw"), "");
    assert_eq!(refusal(&service, 2, SCARCE).as_deref(), Some("invalid_time"));
    // A process that starts meanwhile knows who holds it, too.
    drop(service);
    let service = started(bench);
    changed(&service, "PATCH", &format!("/admin/coupons/{SCARCE}"), r#"{"status":1}"#);
    let told = [1, 2, 3].map(|user| refusal(&service, user, SCARCE));
    assert_eq!(told, [Some("duplicate".to_owned()), None, Some("out_of_stock".to_owned())]);
}

pub(crate) async fn a_changed_name_and_changed_details_are_read_back(bench: &Bench) {
    let service = started(bench);
    let path = format!("/admin/coupons/{PLENTY}");
    let all = r#"{"coupon_name":"20 off 'tea', 中文","details":{"description":"Tea.","usage_rules":"Twice.","product_range":{"a":[1]}}}"#;
    assert!(changed(&service, "PATCH", &path, all).changed);
    assert!(!changed(&service, "PATCH", &path, all).changed);
    assert!(changed(&service, "PATCH", &path, r#"{"details":{"description":"Coffee."}}"#).changed);
    let is_shown = |service: &Served| {
        let shown: CouponView = service.get(&format!("/api/coupon/{PLENTY}?details=true")).json();
        let details = shown.details.unwrap();
        assert_eq!((&*shown.coupon_name, &*details.description), ("20 off 'tea', 中文", "Coffee."));
        assert_eq!((&*details.usage_rules, details.product_range["a"][0].as_u64()), ("Twice.", Some(1)));
    };
    is_shown(&service);
    drop(service);
    is_shown(&started(bench));
}

pub(crate) async fn what_is_held_stands_by_its_terms_whatever_an_operator_changes(bench: &Bench) {
    let service = started(bench);
    let path = format!("/admin/coupons/{PLENTY}");
    let grab = |user: u64, request: &str| -> GrabResponse {
        let body = format!(r#"{{"user_id":{user},"coupon_id":{PLENTY},"request_id":"{request}"}}"#);
        service.post("/api/coupon/grab", &body).json()
    };
    let held_s = |granted: &GrabResponse| {
        let [until, from] = [&granted.hold_until, &granted.grab_time]
            .map(|time| time.as_deref().unwrap().parse::<Timestamp>().unwrap().millis());
        (until - from) / 1_000
    };
    changed(&service, "PATCH", &path, r#"{"hold_s":600}"#);
    let held = [1, 2, 3].map(|user| grab(user, "cart"));
    assert_eq!(held.each_ref().map(held_s), [600; 3]);
    changed(&service, "PATCH", &path, r#"{"hold_s":60,"user_limit":2}"#);
    let second = grab(1, "another cart");
    assert_eq!(held_s(&second), 60, "a new grab has the new terms");
    assert_eq!(grab(1, "one more").fail_reason.as_deref(), Some("duplicate"));
    service.drain();

    let confirmed_as_before = |granted: &GrabResponse| {
        let id = granted.result_id.as_deref().unwrap();
        let stored: ResultAnswer = service.get(&format!("/api/result/{id}")).json();
        assert_eq!((&*stored.result.state, &stored.result.hold_until), ("held", &granted.hold_until));
        let step = format!(r#"{{"user_id":{},"result_id":"{id}"}}"#, granted.user_id);
        let confirmed: ResultAnswer = service.post("/api/coupon/confirm", &step).json();
        assert_eq!((&*confirmed.result.state, &confirmed.result.hold_until), ("owned", &granted.hold_until));
    };
    let [after_terms, after_end, after_withdrawal] = &held;
    confirmed_as_before(after_terms);
    changed(&service, "POST", &format!("{path}/end"), "");
    assert_eq!(grab(4, "late").fail_reason.as_deref(), Some("invalid_time"));
    confirmed_as_before(after_end);
    changed(&service, "POST", &format!("{path}/withdraw"), "");
    confirmed_as_before(after_withdrawal);
    confirmed_as_before(&second);
}

pub(crate) async fn a_user_who_grabs_and_gives_back_in_a_loop_is_asked_to_wait(bench: &Bench) {
    let service = Served::start(bench, &["limits.user_returns_per_h=2", "admin.token=sesame"]);
    service.becomes(200);
    let operator = format!("{JSON}Authorization: Bearer sesame\r\n");
    let terms = request("PATCH", &format!("/admin/coupons/{SCARCE}"), &operator, br#"{"hold_s":600}"#);
    assert_eq!(service.send(&terms).status, 200);
    let grab = |request: &str| -> GrabResponse {
        let body = format!(r#"{{"user_id":1,"coupon_id":{SCARCE},"request_id":"{request}"}}"#);
        let granted: GrabResponse = service.post("/api/coupon/grab", &body).json();
        service.send(&request_of_drain(&operator));
        granted
    };
    let step = |id: &str| format!(r#"{{"user_id":1,"result_id":"{id}"}}"#);
    for request in ["a", "b"] {
        let id = grab(request).result_id.unwrap();
        for _ in 0..3 {
            // Asked for again it gives nothing back, and does not count.
            assert_eq!(service.post("/api/coupon/release", &step(&id)).status, 200);
        }
        service.send(&request_of_drain(&operator));
    }
    let third = grab("c");
    assert_eq!(third.state.as_deref(), Some("held"), "{third:?}");
    let id = third.result_id.unwrap();
    let refused = service.post("/api/coupon/release", &step(&id));
    let problem = refused.problem(429);
    assert_eq!((problem.kind.as_str(), problem.field.as_deref()), ("/problems/too-many", Some("user_id")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1_800).contains(&wait), "two an hour: {wait} s");
    assert_eq!(
        service.post("/api/coupon/confirm", &step(&id)).status,
        200,
        "what gives nothing back is free"
    );
    let by_operator = request("POST", "/api/coupon/return", &operator, step(&id).as_bytes());
    assert_eq!(service.send(&by_operator).status, 200);
    let metrics = service.get("/metrics").text();
    assert!(metrics.contains("coupon_limited_total{limit=\"user_returns\"} 1\n"), "{metrics}");
}

fn request_of_drain(operator: &str) -> Vec<u8> {
    request("POST", "/admin/drain", operator, b"")
}
