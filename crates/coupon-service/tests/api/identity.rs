//! Users' tokens.

use std::sync::Arc;

use coupon_core::{Timestamp, UserId};
use coupon_service::api::{GrabResponse, ResultAnswer, ResultPage, StockView};
use coupon_service::app::Application;
use coupon_service::user_token::UserTokens;
use coupon_store::clock::Clock;
use coupon_store::settings::{NoSettings, Secret, Sources};

use crate::client::{Answer, request};
use crate::fixture::{Api, BY_USER, NOW, PLENTY};

const SECRET: &str = "a secret of more than 32 characters";
const HOUR: i64 = 3_600_000;

fn with_tokens() -> Api {
    Api::with(&[&format!("users.token_secret={SECRET}")])
}

/// A header with that user's token, good until so many milliseconds after the service's now.
pub(crate) fn token(secret: &str, user: u64, good_for: i64) -> String {
    let now: Timestamp = NOW.parse().unwrap();
    let tokens = UserTokens::new(&Secret::new(secret)).unwrap().unwrap();
    let token = tokens.issue(UserId::new(user).unwrap(), now.plus_millis(good_for));
    format!("Authorization: Bearer {token}\r\n")
}

/// The three things that users do for themselves, done by user 7.
fn as_user_7(api: &Api, header: &str) -> [Answer; 3] {
    let grab = format!(r#"{{"user_id":7,"coupon_id":{PLENTY}}}"#);
    let json = format!("Content-Type: application/json\r\n{header}");
    [
        api.send(&request("POST", "/api/coupon/grab", &json, grab.as_bytes())),
        api.send(&request(
            "POST",
            "/api/coupon/use",
            &json,
            br#"{"user_id":7,"result_id":"1","order_amount":1}"#,
        )),
        api.send(&request("GET", "/api/user/7/coupons", header, b"")),
    ]
}

#[test]
fn without_a_secret_set_nobody_is_asked_for_a_token() {
    let [grab, spend, list] = as_user_7(&Api::start(), "");
    assert_eq!(grab.json::<GrabResponse>().grab_status, 1);
    spend.problem(404);
    list.json::<ResultPage>();
}

#[test]
fn with_a_secret_set_nothing_is_done_for_a_user_without_that_users_token() {
    let api = with_tokens();
    for (header, status, kind) in [
        (String::new(), 401, "/problems/user-token-needed"),
        ("Authorization: Bearer nonsense\r\n".to_owned(), 401, "/problems/user-token-needed"),
        ("Authorization: Bearer \u{e9}\u{1f980}\r\n".to_owned(), 401, "/problems/user-token-needed"),
        (format!("Authorization: Bearer {SECRET}\r\n"), 401, "/problems/user-token-needed"),
        (token(SECRET, 7, HOUR).replace("Bearer", "Basic"), 401, "/problems/user-token-needed"),
        (token("another secret of more than 32 characters", 7, HOUR), 401, "/problems/user-token-needed"),
        (token(SECRET, 7, -1_000), 401, "/problems/user-token-needed"),
        (token(SECRET, 8, HOUR), 403, "/problems/other-user"),
    ] {
        for answer in as_user_7(&api, &header) {
            assert_eq!(answer.problem(status).kind, kind, "{header}");
            let asks = answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer"));
            assert_eq!(asks, status == 401, "{header}");
        }
    }
    let stock: StockView = api.get(&format!("/api/coupon/{PLENTY}/stock")).json();
    assert_eq!(stock.sold, 0);
}

#[test]
fn with_their_token_users_do_what_they_did_without() {
    let api = with_tokens();
    let header = token(SECRET, 7, HOUR);
    let [grab, spend, list] = as_user_7(&api, &header);
    let grab: GrabResponse = grab.json();
    assert_eq!(grab.grab_status, 1);
    spend.problem(404);
    assert_eq!(list.json::<ResultPage>().items.len(), 2);
    let body = format!(r#"{{"user_id":7,"result_id":"{}","order_amount":99}}"#, grab.result_id.unwrap());
    let json = format!("Content-Type: application/json\r\n{header}");
    let spent: ResultAnswer = api.send(&request("POST", "/api/coupon/use", &json, body.as_bytes())).json();
    assert_eq!(spent.result.use_status, 1);
}

#[test]
fn what_belongs_to_no_single_user_asks_for_no_token() {
    let api = with_tokens();
    for path in ["/api/coupon/1", "/api/coupon/1/stock", "/api/room/1/coupons", "/healthz", "/openapi.json"] {
        assert_eq!(api.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_client_that_is_refused_can_ask_again_on_the_same_connection() {
    let api = with_tokens();
    let body = format!(r#"{{"user_id":7,"coupon_id":{PLENTY}}}"#);
    let mut connection = api.connect();
    for (header, status) in [("", 401), (token(SECRET, 7, HOUR).as_str(), 200)] {
        let headers = format!("Content-Type: application/json\r\n{header}");
        connection.send(&request("POST", "/api/coupon/grab", &headers, body.as_bytes()));
        assert_eq!(connection.receive(false).status, status);
    }
}

#[test]
fn users_whose_accounts_live_elsewhere_need_nothing_but_their_token_where_that_is_set() {
    let stranger = 4_000_000_000;
    let header = token(SECRET, stranger, HOUR);
    let list = request("GET", &format!("/api/user/{stranger}/coupons"), &header, b"");
    assert_eq!(with_tokens().send(&list).problem(404).kind, "/problems/unknown-user");

    let api = Api::with(&[&format!("users.token_secret={SECRET}"), "users.unknown=accept"]);
    assert!(api.send(&list).json::<ResultPage>().items.is_empty());
    let grab = format!(r#"{{"user_id":{stranger},"coupon_id":{PLENTY}}}"#);
    let json = format!("Content-Type: application/json\r\n{header}");
    let grab: GrabResponse = api.send(&request("POST", "/api/coupon/grab", &json, grab.as_bytes())).json();
    assert_eq!(grab.grab_status, 1);
    assert_eq!(api.send(&list).json::<ResultPage>().items.len(), 1);
}

#[test]
fn users_whom_nobody_knows_are_not_taken_without_their_tokens() {
    let sources = Sources {
        service_defaults: "listen = \"127.0.0.1:0\"".to_owned(),
        flags: vec!["users.unknown=accept".to_owned()],
        ..Sources::default()
    };
    let (settings, NoSettings {}) = sources.read("own").unwrap();
    let built = Application::build("test-svc", settings, Arc::new(BY_USER), Clock::system());
    let error = built.err().unwrap().to_string();
    assert!(error.contains("users.unknown") && error.contains("users.token_secret"), "{error}");
}
