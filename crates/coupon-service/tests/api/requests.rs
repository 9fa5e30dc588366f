//! The ids of requests, and the places that name them.

use crate::client::{post, request};
use crate::fixture::{Api, PLENTY};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn is_an_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn an_answer_says_which_trace_its_request_was_part_of() {
    let api = Api::start();
    let header = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let answer = api.send(&request("GET", "/healthz", &header, b""));
    assert_eq!(answer.header("x-request-id"), Some(TRACE));
    let answer = api.send(&request("GET", "/api/coupon/999999999/stock", &header, b""));
    assert_eq!(answer.header("x-request-id"), Some(TRACE));
    assert_eq!(answer.problem(404).trace_id.as_deref(), Some(TRACE));
}

#[test]
fn a_request_that_brings_no_trace_or_a_malformed_one_gets_an_id_of_its_own() {
    let api = Api::start();
    let mut ids = Vec::new();
    for header in [
        String::new(),
        "traceparent: nonsense\r\n".to_owned(),
        format!("traceparent: 00-{}-00f067aa0ba902b7-01\r\n", TRACE.to_uppercase()),
        format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n").repeat(2),
    ] {
        let answer = api.send(&request("GET", "/nowhere", &header, b""));
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(is_an_id(&id), "{id}");
        assert_eq!(answer.problem(404).trace_id, Some(id.clone()));
        ids.push(id);
    }
    let count = ids.len();
    ids.push(TRACE.to_owned());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count + 1);
}

#[test]
fn written_bytes_are_counted_before_anything_is_written() {
    let text = Api::start().get("/metrics").text();
    for shard in 0..4 {
        let line = format!("coupon_shard_written_bytes_total{{shard=\"{shard}\"}} 0");
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
}

#[test]
fn requests_are_counted_by_route_and_class_of_status() {
    let api = Api::start();
    api.send(&post("/api/coupon/grab", &format!(r#"{{"user_id":1,"coupon_id":{PLENTY}}}"#)));
    api.send(&post("/api/coupon/grab", "{}"));
    api.get("/api/user/7/coupons");
    api.get("/api/user/8/coupons");
    api.get("/made/up?by=anybody");
    let text = api.get("/metrics").text();
    for line in [
        r#"coupon_http_requests_total{route="/api/coupon/grab",status="2xx"} 1"#,
        r#"coupon_http_requests_total{route="/api/coupon/grab",status="4xx"} 1"#,
        r#"coupon_http_requests_total{route="/api/user/{user_id}/coupons",status="2xx"} 2"#,
        r#"coupon_http_requests_total{route="none",status="4xx"} 1"#,
        r#"coupon_http_request_seconds_count{route="/api/coupon/grab"} 2"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("made/up"));
}
