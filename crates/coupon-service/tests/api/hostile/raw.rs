//! Bytes that are no HTTP, or nearly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::send_each;
use crate::fixture::Api;

/// Everything that comes back until the server hangs up.
fn answer(api: &Api, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may hang up in the middle.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server did not hang up"),
    }
    read
}

/// The statuses of answers that follow each other.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0)).collect()
}

/// A valid request, cut, doubled or with bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let whole = [
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"user_id\":1,\"coupon_id\":2}",
        "POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1B\r\n{\"user_id\":1,\"coupon_id\":2}\r\n0\r\n\r\n",
        "POST /api/coupon/grab HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
        "POST /api/coupon/grab HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /api/coupon/grab HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST /api/coupon/grab HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\n",
        "POST /api/coupon/grab HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "GET http://other/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n X: folded\r\nX :\u{1}\r\n\r\n",
        "GET /\u{e9}\u{1f980} HTTP/1.1\r\n\r\n",
    ];
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (select(whole.to_vec()), changes, option_cut(), 1_usize..4).prop_map(|(whole, changes, cut, times)| {
        let mut bytes = whole.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            *bytes.get_mut(at).unwrap() = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.repeat(times)
    })
}

fn option_cut() -> impl Strategy<Value = Option<prop::sample::Index>> {
    prop::option::weighted(0.3, any::<prop::sample::Index>())
}

#[test]
fn bytes_that_are_no_http_are_never_the_services_fault() {
    let api = Api::with(&["limits.head_ms=1000", "limits.body_ms=1000", "limits.idle_ms=1000"]);
    let any = prop_oneof![8 => mutated(), 1 => vec(any::<u8>(), 0..400)];
    let send = |bytes: Vec<u8>| {
        let answers = answer(&api, &bytes);
        let statuses = statuses(&answers);
        prop_assert!(
            statuses.iter().all(|status| (100..500).contains(status)),
            "{statuses:?} {}",
            String::from_utf8_lossy(&answers)
        );
        Ok(())
    };
    send_each(&any, send);
    assert_eq!(api.get("/readyz").status, 200);
}

#[test]
fn a_request_hidden_in_another_is_not_served() {
    let api = Api::start();
    let hidden = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        format!("POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: {}\r\n\r\n", hidden.len()),
        "POST /api/coupon/grab HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n".to_owned(),
    ] {
        let said = String::from_utf8(answer(&api, format!("{head}{hidden}").as_bytes())).unwrap();
        assert!(said.starts_with("HTTP/1.1 400 "), "{head:?}: {said}");
        assert!(!said.contains("coupon_grabs_total"), "{head:?}: {said}");
    }
}
