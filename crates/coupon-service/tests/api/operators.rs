use coupon_service::api::{AdminStats, CatalogueChanged, ChangeList, CouponView, OfferPage, RoomCoupons};

use crate::client::{Answer, request};
use crate::fixture::{
    Api, EARLY, ENDED, HOLDING, INACTIVE, NOWHERE, OF_ROOM_3, PLENTY, SCARCE, USERS, WITHDRAWN,
};

const JSON: &str = "Content-Type: application/json\r\n";
const TOKEN: &str = "admin.token=open sesame";
const NEW: &str = r#"{"coupon_id":101,"room_id":3,"coupon_name":"20 off","coupon_type":1,"discount_amount":20,
    "min_purchase":99,"total_stock":2,"start_time":"2026-11-22T11:00:00Z","end_time":"2026-11-22T13:00:00Z",
    "details":{"description":"Tea.","usage_rules":"Once.","product_range":{"categories":["tea"]}}}"#;

/// Every path that changes something, with a body that would do.
const CHANGES: [(&str, &str, &str); 7] = [
    (
        "POST",
        "/admin/rooms",
        r#"{"room_id":9,"room_name":"nine","anchor_id":1,"start_time":"2026-11-22T00:00:00Z"}"#,
    ),
    ("POST", "/admin/rooms/3/end", ""),
    ("POST", "/admin/coupons", NEW),
    ("PATCH", "/admin/coupons/2", r#"{"total_stock":1500}"#),
    ("POST", "/admin/coupons/2/end", ""),
    ("POST", "/admin/coupons/1/withdraw", ""),
    ("POST", "/admin/users", r#"{"users":[{"user_id":1001}]}"#),
];

fn ask(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    api.send(&request(method, path, JSON, body.as_bytes()))
}

fn changed(api: &Api, method: &str, path: &str, body: &str) -> CatalogueChanged {
    ask(api, method, path, body).json()
}

fn patched(api: &Api, coupon: u64, body: &str) -> CatalogueChanged {
    changed(api, "PATCH", &format!("/admin/coupons/{coupon}"), body)
}

fn offers(api: &Api, query: &str) -> OfferPage {
    api.get(&format!("/admin/coupons{query}")).json()
}

#[test]
fn every_change_asks_for_the_token_and_without_one_for_this_machine() {
    let (guarded, open) = (Api::with(&[TOKEN]), Api::start());
    let reads = ["/admin/coupons", "/admin/changes"].map(|path| ("GET", path, ""));
    for (method, path, body) in CHANGES.into_iter().chain(reads) {
        assert_eq!(ask(&guarded, method, path, body).problem(401).kind, "/problems/unauthorized", "{path}");
        let right = format!("{JSON}Authorization: Bearer open sesame\r\n");
        assert_eq!(guarded.send(&request(method, path, &right, body.as_bytes())).status, 200, "{path}");
        let passed_on = format!("{JSON}X-Forwarded-For: 192.0.2.7\r\n");
        open.send(&request(method, path, &passed_on, body.as_bytes())).problem(403);
        let other_page = format!("{JSON}Origin: http://evil.example\r\n");
        open.send(&request(method, path, &other_page, body.as_bytes())).problem(403);
        assert_eq!(ask(&open, method, path, body).status, 200, "{path}");
    }
}

#[test]
fn each_change_is_one_version_and_asked_for_again_it_is_none() {
    let api = Api::start();
    for (number, (method, path, body)) in (1..).zip(CHANGES) {
        let first = changed(&api, method, path, body);
        assert_eq!((first.version, first.changed, first.gate), (number, true, true), "{path}");
        assert_eq!((first.added, first.unconfirmed), (usize::from(path == "/admin/users"), vec![]), "{path}");
        let again = changed(&api, method, path, body);
        assert_eq!((again.version, again.changed, again.added), (number, false, 0), "{path}");
    }
    let stats: AdminStats = api.get("/admin/stats").json();
    assert_eq!(stats.catalogue_version, CHANGES.len() as u64);
}

#[test]
fn a_coupon_that_is_made_is_sold_at_once_and_no_more_of_it_than_there_are() {
    let api = Api::start();
    api.post("/api/coupon/grab", r#"{"user_id":1,"coupon_id":101}"#).problem(404);
    changed(&api, "POST", "/admin/coupons", NEW);
    assert_eq!([1, 2, 3].map(|user| api.grab(user, 101).grab_status), [1, 1, 0]);
    let coupon: CouponView = api.get("/api/coupon/101?details=true").json();
    assert_eq!((coupon.room_id, coupon.discount_amount, coupon.min_purchase), (3, Some(20.0), 99.0));
    assert_eq!(coupon.details.unwrap().product_range["categories"][0], "tea");
    let listed: RoomCoupons = api.get("/api/room/3/coupons").json();
    assert!(listed.items.iter().any(|coupon| coupon.coupon_id == 101));
}

#[test]
fn a_total_is_raised_while_it_sells_and_lowered_below_what_is_sold() {
    let api = Api::start();
    assert_eq!([1, 2, 3, 4].map(|user| api.grab(user, SCARCE).grab_status), [1, 1, 1, 0]);
    assert!(patched(&api, SCARCE, r#"{"total_stock":5}"#).changed);
    // Also the user whom a worker remembers as too late.
    assert_eq!([4, 5, 6].map(|user| api.grab(user, SCARCE).grab_status), [1, 1, 0]);
    assert!(patched(&api, SCARCE, r#"{"total_stock":2}"#).changed);
    let offer = &offers(&api, "?limit=1").items[0];
    assert_eq!((offer.total_stock, offer.sold, offer.left), (2, 5, 0));
    assert_eq!(api.left(SCARCE), 0);
    assert_eq!(api.grab(6, SCARCE).fail_reason.as_deref(), Some("out_of_stock"));
    assert_eq!(api.post("/admin/drain", "").status, 200);
    let main: CouponView = api.get(&format!("/api/coupon/{SCARCE}")).json();
    assert_eq!((main.total_stock, main.remaining_stock), (2, 0));
}

#[test]
fn windows_and_withdrawals_hold_from_the_answer_on() {
    let api = Api::start();
    let why = |user, coupon| api.grab(user, coupon).fail_reason;
    let withdrawn = changed(&api, "POST", &format!("/admin/coupons/{PLENTY}/withdraw"), "");
    assert_eq!(withdrawn.phase.as_deref(), Some("withdrawn"));
    assert_eq!(why(1, PLENTY).as_deref(), Some("invalid_time"));
    assert_eq!(patched(&api, PLENTY, r#"{"status":1}"#).phase.as_deref(), Some("open"));
    assert_eq!(why(1, PLENTY), None);
    changed(&api, "POST", &format!("/admin/coupons/{PLENTY}/end"), "");
    assert_eq!(why(2, PLENTY).as_deref(), Some("invalid_time"));
    patched(&api, EARLY, r#"{"start_time":"2026-11-22T11:59:59Z"}"#);
    assert_eq!(why(1, EARLY), None);
    let early = api.post("/admin/coupons/4/end", "").json::<CatalogueChanged>();
    assert!(!early.changed, "what is over stays as it is");
    let past = NEW.replace("11:00:00Z", "09:00:00Z").replace("13:00:00Z", "10:00:00Z");
    assert_eq!(changed(&api, "POST", "/admin/coupons", &past).phase.as_deref(), Some("over"));
    patched(&api, ENDED, r#"{"end_time":"2026-11-23T00:00:00Z"}"#);
    assert_eq!(why(1, ENDED).as_deref(), Some("duplicate"), "who had one before has it still");
    assert_eq!(why(31, ENDED), None);
}

#[test]
fn a_coupon_that_has_not_begun_is_not_ended() {
    let api = Api::start();
    let problem = api.post(&format!("/admin/coupons/{EARLY}/end"), "").problem(409);
    assert_eq!((problem.kind.as_str(), problem.field.as_deref()), ("/problems/conflict", Some("coupon_id")));
    assert!(problem.detail.contains("withdraw"), "{}", problem.detail);
}

#[test]
fn users_who_are_added_may_grab_and_those_who_exist_stay_as_they_are() {
    let api = Api::start();
    let body = format!(
        r#"{{"users":[{{"user_id":1001,"username":"张三"}},{{"user_id":{INACTIVE}}},{{"user_id":1}},{{"user_id":1002,"is_active":false}}]}}"#
    );
    assert_eq!(changed(&api, "POST", "/admin/users", &body).added, 2);
    assert_eq!(api.grab(1_001, PLENTY).grab_status, 1);
    for inactive in [INACTIVE, 1_002] {
        let body = format!(r#"{{"user_id":{inactive},"coupon_id":{PLENTY}}}"#);
        api.post("/api/coupon/grab", &body).problem(403);
    }
    assert_eq!(api.get("/api/user/1001/coupons").status, 200);
}

#[test]
fn ten_thousand_users_fit_and_one_more_does_not() {
    let api = Api::start();
    let users = |count: u64| {
        let user = |id| {
            format!(
                r#"{{"user_id":{id},"username":"a user of the shop {id}","phone":"+8613800000000","email":"user{id}@example.com"}}"#
            )
        };
        format!(r#"{{"users":[{}]}}"#, (1..=count).map(user).collect::<Vec<_>>().join(","))
    };
    assert_eq!(changed(&api, "POST", "/admin/users", &users(10_000)).added, 10_000 - USERS as usize - 1);
    assert_eq!(
        ask(&api, "POST", "/admin/users", &users(10_001)).problem(422).field.as_deref(),
        Some("users")
    );
    let large = " ".repeat(2 * 1_024 * 1_024 + 1);
    assert!(ask(&api, "POST", "/admin/users", &large).problem(413).detail.contains("2097152"));
    // What may be larger is so for operators alone, and for users alone.
    let guarded = Api::with(&[TOKEN]);
    ask(&guarded, "POST", "/admin/users", &users(1_000)).problem(413);
    ask(&api, "POST", "/admin/coupons", &" ".repeat(16 * 1_024 + 1)).problem(413);
}

#[test]
fn the_record_names_who_changed_what_the_last_first() {
    let api = Api::start();
    let by = |name: &str, total: u64| {
        let headers = format!("{JSON}X-Operator: {name}\r\n");
        let body = format!(r#"{{"total_stock":{total}}}"#);
        api.send(&request("PATCH", &format!("/admin/coupons/{PLENTY}"), &headers, body.as_bytes()))
    };
    for (total, name) in (2_001..).zip(["Ann", "王小明", "Zoë Ó'Brien", ""]) {
        assert_eq!(by(name, total).status, 200, "{name}");
    }
    let changes: ChangeList = api.get("/admin/changes").json();
    let names: Vec<&str> = changes.items.iter().map(|change| change.operator.as_str()).collect();
    assert_eq!(names, ["operator", "Zoë Ó'Brien", "王小明", "Ann"]);
    let [first, .., last] = &changes.items[..] else { panic!("{changes:?}") };
    assert_eq!((last.version, last.coupon_id, last.room_id), (1, Some(PLENTY), None));
    assert!(last.what.contains("total_stock 1000 → 2001"), "{}", last.what);
    assert_eq!(first.version, 4);
    let latest: ChangeList = api.get("/admin/changes?limit=1").json();
    assert_eq!(latest.items.len(), 1);
    for (name, status) in [("x".repeat(65), 422), ("a\tb".to_owned(), 422), ("expire".to_owned(), 422)] {
        assert_eq!(by(&name, 5).problem(status).field.as_deref(), Some("operator"), "{name}");
    }
    let twice = format!("{JSON}X-Operator: a\r\nX-Operator: b\r\n");
    api.send(&request("POST", "/admin/coupons/1/withdraw", &twice, b"")).problem(400);
    let latin = [JSON.as_bytes(), b"X-Operator: Zo\xeb\r\n"].concat();
    let bytes = [
        b"POST /admin/coupons/1/withdraw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n",
        &latin[..],
        b"\r\n",
    ];
    assert_eq!(api.send(&bytes.concat()).problem(400).field.as_deref(), Some("operator"));
}

#[test]
fn the_offers_say_what_is_sold_held_and_left_of_every_coupon() {
    let api = Api::start();
    (1..=2).for_each(|user| drop(api.grab(user, PLENTY)));
    let held = api.request(1, HOLDING, "a").result_id.unwrap();
    api.request(2, HOLDING, "a");
    let page = offers(&api, "");
    let of = |id| page.items.iter().find(|offer| offer.coupon_id == id).unwrap();
    assert_eq!((of(PLENTY).sold, of(PLENTY).held, of(PLENTY).left), (2, 0, 998));
    assert_eq!((of(HOLDING).sold, of(HOLDING).held, of(HOLDING).left), (2, 2, 1));
    assert_eq!((of(ENDED).sold, of(ENDED).left, of(ENDED).trailing), (30, 20, false));
    let phases = [PLENTY, EARLY, ENDED, WITHDRAWN].map(|id| of(id).phase.as_str());
    assert_eq!(phases, ["open", "early", "over", "withdrawn"]);
    assert_eq!((page.partial, page.next_cursor.as_deref()), (false, None));
    api.step("confirm", 1, &held);
    assert_eq!(offers(&api, "?room_id=1").items.iter().map(|offer| offer.held).sum::<u64>(), 1);
}

#[test]
fn the_offers_are_paged_by_room_or_all_and_say_which_shard_is_missing() {
    let api = Api::start();
    let mut seen = Vec::new();
    let mut query = "?limit=4".to_owned();
    loop {
        let page = offers(&api, &query);
        seen.extend(page.items.iter().map(|offer| offer.coupon_id));
        let Some(cursor) = page.next_cursor else { break };
        query = format!("?limit=4&cursor={cursor}");
    }
    assert!(seen.len() == 14 && seen.is_sorted() && seen.contains(&NOWHERE), "{seen:?}");
    let of_room = offers(&api, "?room_id=3&limit=3");
    assert_eq!(of_room.items.iter().map(|offer| offer.coupon_id).collect::<Vec<_>>(), OF_ROOM_3[..3]);
    let cursor = of_room.next_cursor.unwrap();
    api.get(&format!("/admin/coupons?cursor={cursor}")).problem(400);
    assert_eq!(offers(&api, &format!("?room_id=3&cursor={cursor}")).items.len(), 2);
    assert_eq!(api.get("/admin/coupons?room_id=99").problem(404).field.as_deref(), Some("room_id"));
    api.request(1, HOLDING, "a");
    api.break_shard(1);
    let without = offers(&api, "");
    assert_eq!((without.partial, without.missing_shards.as_slice()), (true, &[1][..]));
    assert_eq!(without.items.iter().find(|offer| offer.coupon_id == HOLDING).unwrap().left, 2);
    api.mend_shard(1);
}

/// A new coupon, changed in one field.
fn coupon(field: &str, value: &str) -> String {
    let mut body: serde_json::Value = serde_json::from_str(NEW).unwrap();
    body[field] = serde_json::from_str(value).unwrap();
    body.to_string()
}

fn assert_unchanged(api: &Api) {
    assert_eq!(api.get("/admin/stats").json::<AdminStats>().catalogue_version, 0);
}

#[test]
fn a_coupon_that_cannot_be_is_refused_by_its_field() {
    let api = Api::start();
    for (field, value, status) in [
        ("coupon_id", "0", 422),
        ("coupon_id", "\"1\"", 400),
        ("discount_rate", "10", 422),
        ("discount_rate", "256", 422),
        ("room_id", "99", 404),
        ("coupon_name", "\"\"", 422),
        ("coupon_name", "\"a\\nb\"", 422),
        ("coupon_type", "4", 422),
        ("discount_amount", "null", 422),
        ("discount_amount", "0.001", 422),
        ("min_purchase", "-1", 422),
        ("total_stock", "-1", 422),
        ("total_stock", "2147483648", 422),
        ("total_stock", "1.5", 400),
        ("start_time", "\"yesterday\"", 400),
        ("end_time", "\"2026-11-22T11:00:00Z\"", 422),
        ("status", "2", 422),
        ("hold_s", "2592001", 422),
        ("user_limit", "0", 422),
        ("user_limit", "101", 422),
        ("returnable", "1", 400),
        ("rom_id", "1", 400),
    ] {
        let problem = ask(&api, "POST", "/admin/coupons", &coupon(field, value)).problem(status);
        assert_eq!(problem.field.as_deref(), Some(field), "{value}: {}", problem.detail);
    }
    for (field, value, allowed) in [
        ("coupon_type", "300", "one of 1, 2, 3"),
        ("status", "-1", "one of 0, 1"),
        ("total_stock", "5e9", "from 0 to 2147483647"),
        ("hold_s", "5e9", "from 0 to 2592000"),
        ("user_limit", "256", "from 1 to 100"),
    ] {
        let problem = ask(&api, "POST", "/admin/coupons", &coupon(field, value)).problem(422);
        assert!(problem.detail.contains(&format!("{field} must be {allowed}")), "{}", problem.detail);
    }
    let details = coupon("details", r#"{"description":"","usage_rules":"","product_range":[]}"#);
    let problem = ask(&api, "POST", "/admin/coupons", &details).problem(400);
    assert_eq!(problem.field.as_deref(), Some("details.product_range"));
    ask(&api, "POST", "/admin/coupons", &coupon("coupon_id", "2")).problem(409);
    assert_unchanged(&api);
}

#[test]
fn a_change_that_cannot_be_is_refused_by_its_field() {
    let api = Api::start();
    for (method, path, body, status, field) in [
        ("PATCH", "/admin/coupons/99", "{}", 404, "coupon_id"),
        ("PATCH", "/admin/coupons/x", "{}", 400, "coupon_id"),
        ("PATCH", "/admin/coupons/2", r#"{"end_time":"2026-01-01T00:00:00Z"}"#, 422, "end_time"),
        ("POST", "/admin/coupons/99/withdraw", "", 404, "coupon_id"),
        ("POST", "/admin/coupons/99/end", "", 404, "coupon_id"),
        ("POST", "/admin/coupons/1/end?now=1", "", 400, "now"),
        ("POST", "/admin/rooms/99/end", "", 404, "room_id"),
        ("POST", "/admin/users", r#"{"users":[{"user_id":0}]}"#, 422, "users[0].user_id"),
        (
            "POST",
            "/admin/users",
            r#"{"users":[{"user_id":7},{"user_id":8,"username":""}]}"#,
            422,
            "users[1].username",
        ),
        ("POST", "/admin/users", r#"{"users":[{}]}"#, 400, "users[0].user_id"),
        ("POST", "/admin/users", r#"{"users":[]}"#, 422, "users"),
        ("POST", "/admin/users", r#"{"users":[{"user_id":7},{"user_id":7}]}"#, 422, "users[1].user_id"),
        ("PATCH", "/admin/coupons/2", r#"{"start_time":"2099-01-01T00:00:00Z"}"#, 422, "start_time"),
        // What is sent to a path that reads nothing of a body is meant otherwise.
        ("POST", "/admin/coupons/2/end", r#"{"end_time":"2099-01-01T00:00:00Z"}"#, 400, "end_time"),
        ("POST", "/admin/coupons/2/withdraw", r#"{"status":1}"#, 400, "status"),
        ("POST", "/admin/rooms/3/end", r#"{"end_time":"2099-01-01T00:00:00Z"}"#, 400, "end_time"),
    ] {
        let problem = ask(&api, method, path, body).problem(status);
        assert_eq!(problem.field.as_deref(), Some(field), "{path} {body}: {}", problem.detail);
    }
    api.send(&request("PATCH", "/admin/coupons/2", "", b"{}")).problem(415);
    assert_eq!(ask(&api, "GET", "/admin/coupons/2", "").header("allow"), Some("PATCH"));
    assert_eq!(ask(&api, "DELETE", "/admin/coupons", "").header("allow"), Some("GET, HEAD, POST"));
    assert_unchanged(&api);
}

#[test]
fn the_page_is_served_without_a_token_and_may_do_nothing_but_ask() {
    let api = Api::with(&[TOKEN]);
    for (path, kind) in [
        ("/admin", "text/html; charset=utf-8"),
        ("/admin/look.css", "text/css; charset=utf-8"),
        ("/admin/page.css", "text/css; charset=utf-8"),
        ("/admin/parts.js", "text/javascript; charset=utf-8"),
        ("/admin/page.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = api.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("set-cookie"), None);
        assert!(!answer.text().contains("http://") && !answer.text().contains("https://"), "{path}");
    }
}
