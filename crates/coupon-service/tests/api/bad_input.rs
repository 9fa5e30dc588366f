use crate::client::request;
use crate::fixture::Api;

const GRAB: &str = "/api/coupon/grab";
const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_body_that_cannot_be_read_is_malformed() {
    let api = Api::start();
    for (body, field) in [
        ("", None),
        (" ", None),
        ("{", None),
        ("{}", Some("user_id")),
        ("null", None),
        ("[1,2]", None),
        ("\"x\"", None),
        (r#"{"user_id":1}"#, Some("coupon_id")),
        (r#"{"user_id":"1","coupon_id":2}"#, Some("user_id")),
        (r#"{"user_id":1.5,"coupon_id":2}"#, Some("user_id")),
        (r#"{"user_id":true,"coupon_id":2}"#, Some("user_id")),
        (r#"{"user_id":null,"coupon_id":2}"#, Some("user_id")),
        (r#"{"user_id":[1],"coupon_id":2}"#, Some("user_id")),
        (r#"{"user_id":1,"coupon_id":{}}"#, Some("coupon_id")),
        (r#"{"user_id":1,"coupon_id":2,"room_id":"1"}"#, Some("room_id")),
        (r#"{"user_id":1,"coupon_id":2,"rom_id":1}"#, Some("rom_id")),
        (r#"{"user_id":NaN,"coupon_id":2}"#, None),
        (r#"{"user_id":1e400,"coupon_id":2}"#, None),
        (r#"{"user_id":1,"coupon_id":2} {}"#, None),
    ] {
        let problem = api.post(GRAB, body).problem(400);
        assert_eq!(problem.field.as_deref(), field, "{body}: {}", problem.detail);
    }
    let invalid = [b"{\"user_id\":1,\"coupon_id\":2,\"\xff\":1}".as_slice(), b"\0\0\0\0", b"\xff\xfe"];
    for body in invalid {
        api.send(&request("POST", GRAB, JSON, body)).problem(400);
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    let api = Api::start();
    let problem = api.post(GRAB, r#"{"user_id":1,"coupon_id":2,"user_id":3}"#).problem(400);
    assert_eq!(problem.field.as_deref(), Some("user_id"));
}

#[test]
fn an_error_says_where_it_is() {
    let problem = Api::start().post(GRAB, "{\"user_id\":1,\n\"coupon_id\":\"2\"}").problem(400);
    assert!(problem.detail.contains("line 2 column"), "{}", problem.detail);
}

#[test]
fn an_id_out_of_range_is_told_from_one_that_cannot_be_read() {
    let api = Api::start();
    for id in [
        "0",
        "-0",
        "-1",
        "-9223372036854775809",
        "9007199254740992",
        "18446744073709551616",
        "1e30",
        "5.0000000000000001",
    ] {
        for (body, field) in [
            (format!(r#"{{"user_id":{id},"coupon_id":2}}"#), "user_id"),
            (format!(r#"{{"user_id":1,"coupon_id":{id}}}"#), "coupon_id"),
            (format!(r#"{{"user_id":1,"coupon_id":2,"room_id":{id}}}"#), "room_id"),
        ] {
            let problem = api.post(GRAB, &body).problem(422);
            assert_eq!(problem.field.as_deref(), Some(field), "{body}");
        }
    }
}

#[test]
fn deep_json_is_refused() {
    let api = Api::start();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 8_000 / open.len();
        let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        api.post(GRAB, &format!(r#"{{"user_id":{deep},"coupon_id":2}}"#)).problem(400);
        api.post(GRAB, &format!(r#"{{"user_id":1,"coupon_id":2,"x":{deep}}}"#)).problem(400);
        api.post(GRAB, &open.repeat(depth)).problem(400);
    }
}

#[test]
fn a_body_that_is_not_json_by_its_type_is_refused() {
    let api = Api::start();
    let body = br#"{"user_id":1,"coupon_id":2}"#;
    for headers in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"]
    {
        api.send(&request("POST", GRAB, headers, body)).problem(415);
    }
    for charset in ["gbk", "utf-16", "iso-8859-1"] {
        let headers = format!("Content-Type: application/json; charset={charset}\r\n");
        api.send(&request("POST", GRAB, &headers, body)).problem(415);
    }
    let gzip = format!("{JSON}Content-Encoding: gzip\r\n");
    api.send(&request("POST", GRAB, &gzip, b"\x1f\x8b\x08\0\0")).problem(415);
    // Without a body its type does not matter.
    api.send(&request("POST", GRAB, "", b"")).problem(400);
    let utf8 = "Content-Type: application/json; charset=utf-8\r\n";
    assert_eq!(api.send(&request("POST", GRAB, utf8, body)).status, 200);
}

#[test]
fn ids_in_paths_are_held_to_the_same_rules() {
    let api = Api::start();
    for (id, status) in [
        ("abc", 400),
        ("1.5", 400),
        ("%00", 400),
        ("%31%20", 400),
        ("%FF", 400),
        ("+1", 400),
        ("'; DROP TABLE users", 400),
        ("0", 422),
        ("-1", 422),
        ("9007199254740992", 422),
        ("1e30", 422),
        ("5.0000000000000001", 422),
        ("999999", 404),
    ] {
        for (path, field) in [
            (format!("/api/user/{id}/coupons"), "user_id"),
            (format!("/api/coupon/{id}/stock"), "coupon_id"),
            (format!("/api/coupon/{id}"), "coupon_id"),
            (format!("/api/room/{id}/coupons"), "room_id"),
            (format!("/api/room/{id}/orders"), "room_id"),
            (format!("/api/room/{id}/stats"), "room_id"),
        ] {
            let problem = api.get(&path.replace(' ', "%20")).problem(status);
            assert_eq!(problem.field.as_deref(), Some(field), "{path}");
        }
    }
}

#[test]
fn a_parameter_that_is_unknown_given_twice_or_wrong_is_named() {
    let api = Api::start();
    for (path, status, field) in [
        ("/api/user/1/coupons?limt=5", 400, "limt"),
        ("/api/user/1/coupons?limit=5&limit=5", 400, "limit"),
        ("/api/user/1/coupons?limit=ten", 400, "limit"),
        ("/api/user/1/coupons?limit=", 400, "limit"),
        ("/api/user/1/coupons?limit=0", 422, "limit"),
        ("/api/user/1/coupons?limit=1001", 422, "limit"),
        ("/api/user/1/coupons?limit=-1", 422, "limit"),
        ("/api/orders/recent?hours=0", 422, "hours"),
        ("/api/orders/recent?hours=8761", 422, "hours"),
        ("/api/orders/recent?hours=1e9", 422, "hours"),
        ("/api/orders/recent?hours=1000000000", 422, "hours"),
        ("/api/orders/recent?hours=99999999999999999999999", 422, "hours"),
        ("/api/orders/recent?hours=abc", 400, "hours"),
        ("/api/orders/recent?hours=1.5", 400, "hours"),
        ("/api/orders/recent?day=1", 400, "day"),
        ("/api/statistics/global?exact=maybe", 400, "exact"),
        ("/api/coupon/1?details=1", 400, "details"),
        ("/api/coupon/1/stock?details=true", 400, "details"),
        ("/api/room/1/stats?x", 400, "x"),
        ("/api/result/1?x=1", 400, "x"),
        ("/admin/stats?x=1", 400, "x"),
    ] {
        let problem = api.get(path).problem(status);
        assert_eq!(problem.field.as_deref(), Some(field), "{path}");
    }
    let problem = api.post("/api/coupon/grab?x=1", r#"{"user_id":1,"coupon_id":2}"#).problem(400);
    assert_eq!(problem.field.as_deref(), Some("x"));
}
