//! Behaviour that only shows on a socket.

use std::time::{Duration, Instant};

use coupon_service::api::GrabResponse;

use crate::client::{post, request};
use crate::fixture::{Api, PLENTY};

const GRAB: &str = "/api/coupon/grab";

#[test]
fn a_body_above_16_kib_is_refused_and_one_of_16_kib_is_not() {
    let api = Api::start();
    let padded = |length: usize| {
        let body = format!(r#"{{"user_id":1,"coupon_id":{PLENTY}}}"#);
        body.clone() + &" ".repeat(length - body.len())
    };
    assert_eq!(api.post(GRAB, &padded(16 * 1024)).status, 200);
    assert_eq!(api.post(GRAB, &padded(16 * 1024 + 1)).problem(413).kind, "/problems/too-large");
}

#[test]
fn a_client_that_sends_ten_megabytes_still_hears_why_not() {
    let api = Api::start();
    api.post(GRAB, &" ".repeat(10_000_000)).problem(413);
    assert_eq!(api.get("/healthz").status, 200);
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let api = Api::start();
    for (more, sent, interim) in
        [("", 0, false), ("", 64 * 1024, false), ("Expect: 100-continue\r\n", 0, true)]
    {
        let head = format!(
            "POST {GRAB} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{more}Content-Length: 20000000\r\n\r\n"
        );
        let mut connection = api.connect();
        connection.send(head.as_bytes());
        connection.send(&vec![b' '; sent]);
        if interim {
            assert_eq!(connection.receive(true).status, 100);
        }
        let answer = connection.receive(false);
        assert_eq!(answer.problem(413).kind, "/problems/too-large");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn a_body_in_chunks_is_read_whole() {
    let api = Api::start();
    let head = format!(
        "POST {GRAB} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let body = format!(r#"{{"user_id":1,"coupon_id":{PLENTY}}}"#);
    let mut connection = api.connect();
    connection.send(head.as_bytes());
    for byte in body.chars() {
        connection.send(format!("1\r\n{byte}\r\n").as_bytes());
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.receive(false).json::<GrabResponse>().grab_status, 1);

    // Too much of it, without having said so before.
    connection.send(head.as_bytes());
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..5 {
        connection.send(chunk.as_bytes());
    }
    let answer = connection.receive(false);
    answer.problem(413);
    assert_eq!(answer.header("connection"), Some("close"));

    // What is no chunk at all.
    let mut connection = api.connect();
    connection.send(head.as_bytes());
    connection.send(b"xyz\r\n");
    connection.receive(false).problem(400);
}

/// It is not read for as long as it goes on: neither when it was refused, nor when it was not wanted.
#[test]
fn a_body_in_chunks_without_an_end_is_hung_up_on() {
    let api = Api::start();
    let json = "Content-Type: application/json\r\n";
    for (first, headers) in [("POST /api/coupon/grab", json), ("GET /healthz", ""), ("POST /nowhere", "")] {
        let mut connection = api.connect();
        let head = format!("{first} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
        connection.send(head.as_bytes());
        let chunk = format!("800\r\n{}\r\n", " ".repeat(0x800));
        let deadline = Instant::now() + Duration::from_secs(30);
        while connection.try_send(chunk.as_bytes()) {
            assert!(Instant::now() < deadline, "{first}: it is read for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(api.get("/healthz").status, 200);
}

/// A connection is not lost over a few unwanted bytes. A client that sends more behind them must learn that nothing
/// there is looked at.
#[test]
fn a_body_in_chunks_that_nobody_wanted_is_read_or_the_hang_up_is_announced() {
    let api = Api::start();
    let mut connection = api.connect();
    for chunks in ["", "2\r\n  \r\n", &"2\r\n  \r\n".repeat(1_000)] {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        );
        connection.send(request.repeat(3).as_bytes());
        (0..3).for_each(|_| assert_eq!(connection.receive(false).status, 200));
    }

    let chunks = "2\r\n  \r\n".repeat(50_000);
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    connection.try_send(request.repeat(3).as_bytes());
    let answer = connection.receive(false);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(connection.is_closed());
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let api = Api::start();
    let mut connection = api.connect();
    let grabs = (1..=20).map(|user| post(GRAB, &format!(r#"{{"user_id":{user},"coupon_id":{PLENTY}}}"#)));
    let wrong = [post(GRAB, "{}"), request("GET", "/nowhere", "", b""), request("GET", "/healthz", "", b"")];
    connection.send(&grabs.chain(wrong).collect::<Vec<_>>().concat());
    for user in 1..=20 {
        let answer: GrabResponse = connection.receive(false).json();
        assert_eq!((answer.user_id, answer.grab_status), (user, 1));
    }
    let statuses: Vec<u16> = (0..3).map(|_| connection.receive(false).status).collect();
    assert_eq!(statuses, [400, 404, 200]);
}

#[test]
fn head_is_get_without_the_body() {
    let api = Api::start();
    for path in ["/healthz", "/api/user/1/coupons", "/openapi.json", "/api/coupon/999"] {
        let (get, head) = (api.get(path), api.send(&request("HEAD", path, "", b"")));
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let api = Api::start();
    let body = format!(r#"{{"user_id":1,"coupon_id":{PLENTY}}}"#);
    let whole =
        request("POST", GRAB, "Content-Type: application/json\r\nExpect: 100-continue\r\n", body.as_bytes());
    let (head, body) = whole.split_at(whole.len() - body.len());
    let mut connection = api.connect();
    connection.send(head);
    assert_eq!(connection.receive(true).status, 100);
    connection.send(body);
    assert_eq!(connection.receive(false).json::<GrabResponse>().grab_status, 1);
}

#[test]
fn what_is_no_http_is_refused_and_hung_up_on() {
    let api = Api::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
    ] {
        let mut connection = api.connect();
        connection.send(bytes);
        assert_eq!(connection.receive(false).status, 400);
        assert!(connection.is_closed());
    }
    assert_eq!(api.get("/healthz").status, 200);
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let api = Api::start();
    for cut in [1, 20, 90, 110] {
        let whole = post(GRAB, &format!(r#"{{"user_id":1,"coupon_id":{PLENTY}}}"#));
        api.connect().send(whole.get(..cut).unwrap());
    }
    assert_eq!(api.grab(2, PLENTY).grab_status, 1);
}
