//! Limits on one client's use, and on the time for which it may keep others waiting.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use coupon_service::api::StockView;

use crate::client::{post, request};
use crate::fixture::{Api, PLENTY};

const GRAB: &str = "/api/coupon/grab";

fn grab(user: u64) -> Vec<u8> {
    post(GRAB, &format!(r#"{{"user_id":{user},"coupon_id":{PLENTY}}}"#))
}

fn connect(api: &Api) -> TcpStream {
    let stream = TcpStream::connect(api.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Everything until the server hangs up, politely or not.
fn until_the_end(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server did not hang up"),
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn clients_that_never_finish_their_headers_are_cut_off_and_keep_nobody_waiting() {
    let api = Api::with(&["limits.head_ms=2000"]);
    let mut slow: Vec<TcpStream> = (0..100).map(|_| connect(&api)).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    }
    assert_eq!(api.grab(1, PLENTY).grab_status, 1);
    for stream in &mut slow {
        // One byte now and then does not buy more time.
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut trickle = 0;
        let ended = loop {
            let mut byte = [0; 512];
            match stream.read(&mut byte) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
                Err(_) if trickle == 3_000 => break false,
                Err(_) => trickle += 1,
            }
            let _ = stream.write_all(b"a");
        };
        assert!(ended, "the server still waits for the headers");
    }
    assert_eq!(api.grab(2, PLENTY).grab_status, 1);
}

#[test]
fn a_client_that_trickles_its_body_is_told_and_cut_off() {
    let api = Api::with(&["limits.body_ms=300"]);
    let mut slow = connect(&api);
    let whole = grab(1);
    slow.write_all(whole.get(..whole.len() - 5).unwrap()).unwrap();
    let said = until_the_end(&mut slow);
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("/problems/request-timeout"), "{said}");
    assert_eq!(api.grab(1, PLENTY).grab_status, 1);
}

#[test]
fn a_connection_that_asks_for_nothing_is_closed() {
    let api = Api::with(&["limits.idle_ms=300"]);
    let mut idle = connect(&api);
    idle.write_all(&request("GET", "/healthz", "", b"")).unwrap();
    let said = until_the_end(&mut idle);
    assert!(said.ends_with("ok\n"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_its_answers_is_cut_off() {
    let api = Api::with(&["limits.unread_ms=500"]);
    let mut deaf = connect(&api);
    deaf.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    // Far more answers than all buffers on the way hold.
    let question = request("GET", "/docs/swagger-ui-bundle.js", "", b"");
    let ended = (0..200_000).any(|_| deaf.write_all(&question).is_err());
    assert!(ended, "the server still takes questions whose answers nobody reads");
    assert_eq!(api.grab(1, PLENTY).grab_status, 1);
}

#[test]
fn an_address_with_too_many_connections_is_told_and_nothing_it_sends_is_acted_upon() {
    let api = Api::with(&["limits.connections_per_ip=2"]);
    let mut kept: Vec<_> = (0..2).map(|_| api.connect()).collect();
    for connection in &mut kept {
        connection.send(&request("GET", "/healthz", "", b""));
        assert_eq!(connection.receive(false).status, 200);
    }
    for user in 1..=20 {
        let mut refused = connect(&api);
        // It may be refused before it has said anything.
        let _ = refused.write_all(&grab(user));
        let said = until_the_end(&mut refused);
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_default();
        if !said.is_empty() {
            assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("Retry-After: 1"), "{said}");
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&problem["type"], &problem["status"]), (&"/problems/too-many".into(), &429.into()));
        }
    }
    let connection = kept.first_mut().unwrap();
    connection.send(&request("GET", &format!("/api/coupon/{PLENTY}/stock"), "", b""));
    assert_eq!(connection.receive(false).json::<StockView>().sold, 0);
    connection.send(&request("GET", "/metrics", "", b""));
    let metrics = connection.receive(false).text();
    assert!(metrics.contains("coupon_limited_total{limit=\"connections_per_ip\"} 20\n"), "{metrics}");
    // Closed connections make room, as soon as the server has noticed.
    drop(kept);
    let again = (0..1_000).any(|_| {
        let mut stream = connect(&api);
        let _ = stream.write_all(&request("GET", "/healthz", "Connection: close\r\n", b""));
        until_the_end(&mut stream).ends_with("ok\n")
    });
    assert!(again, "the address is still refused");
}

#[test]
fn beyond_so_many_connections_new_ones_wait_for_others_to_close() {
    let api = Api::with(&["limits.connections=2", "limits.idle_ms=60000", "limits.head_ms=60000"]);
    let mut kept: Vec<_> = (0..2).map(|_| api.connect()).collect();
    for connection in &mut kept {
        connection.send(&request("GET", "/healthz", "", b""));
        assert_eq!(connection.receive(false).status, 200);
    }
    let mut waiting = connect(&api);
    waiting.write_all(&request("GET", "/healthz", "Connection: close\r\n", b"")).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err());
    drop(kept);
    waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(until_the_end(&mut waiting).ends_with("ok\n"));
}

#[test]
fn a_user_who_grabs_too_often_is_told_when_to_come_back_and_others_are_not() {
    let api = Api::with(&["limits.user_grabs_per_s=1", "limits.user_grab_burst=2"]);
    let mut connection = api.connect();
    connection.send(&(0..50).flat_map(|_| grab(1)).collect::<Vec<_>>());
    let answers: Vec<_> = (0..50).map(|_| connection.receive(false)).collect();
    assert!(answers.iter().take(2).all(|answer| answer.status == 200));
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!refused.is_empty());
    for answer in &refused {
        let problem = answer.problem(429);
        assert_eq!(
            (problem.kind.as_str(), problem.field.as_deref()),
            ("/problems/too-many", Some("user_id"))
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(api.grab(2, PLENTY).grab_status, 1);
    let metric = format!("coupon_limited_total{{limit=\"user_grabs\"}} {}\n", refused.len());
    let metrics = api.get("/metrics").text();
    assert!(metrics.contains(&metric), "{metrics}");
}

#[test]
fn headers_beyond_all_measure_are_refused() {
    let api = Api::start();
    let many = "X-Header: y\r\n".repeat(97);
    let long = format!("X-Header: {}\r\n", "y".repeat(200_000));
    let path = format!("/api/room/{}/stats", "1".repeat(200_000));
    for bytes in [
        request("GET", "/healthz", &many, b""),
        request("GET", "/healthz", &long, b""),
        request("GET", &path, "", b""),
    ] {
        let mut stream = connect(&api);
        let _ = stream.write_all(&bytes);
        let said = until_the_end(&mut stream);
        let refused =
            ["HTTP/1.1 400 ", "HTTP/1.1 413 ", "HTTP/1.1 431 "].iter().any(|line| said.starts_with(line));
        assert!(refused || said.is_empty(), "{said}");
    }
    assert_eq!(api.get("/healthz").status, 200);
}
