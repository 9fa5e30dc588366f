//! Traces, as a collector gets them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use coupon_store::settings::NoSettings;
use coupon_store::settings::Sources;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::client::request;
use crate::document::documented;
use crate::exposition::{MetricFamily, parse};
use crate::fixture::{Api, PLENTY, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that takes what it is sent, and passes it on: the service's name, and a span.
fn collector() -> (SocketAddr, Receiver<(String, Span)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (head, body) = post(&mut stream);
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            assert!(head.to_lowercase().contains("content-type: application/x-protobuf\r\n"), "{head}");
            let sent = ExportTraceServiceRequest::decode(&body[..]).unwrap();
            for of_resource in sent.resource_spans {
                let attributes = of_resource.resource.unwrap().attributes;
                let named = attributes.iter().find(|known| known.key == "service.name").unwrap();
                let Some(Value::StringValue(name)) = named.value.clone().unwrap().value else { panic!() };
                for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    if tell.send((name.clone(), span)).is_err() {
                        return;
                    }
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    (address, told)
}

fn post(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0);
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end + 4].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        if bytes.len() >= end + 4 + length {
            return (head, bytes.split_off(end + 4));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn grab(user: u64, flags: &str) -> Vec<u8> {
    let headers = format!("Content-Type: application/json\r\ntraceparent: 00-{TRACE}-{CALLER}-{flags}\r\n");
    let body = format!(r#"{{"user_id":{user},"coupon_id":{PLENTY}}}"#);
    request("POST", "/api/coupon/grab", &headers, body.as_bytes())
}

fn metrics(api: &Api) -> BTreeMap<String, MetricFamily> {
    parse(&api.get("/metrics").text())
}

#[test]
fn a_callers_trace_goes_on_through_every_stage_of_a_grab() {
    let (address, told) = collector();
    let api = Api::with(&[&format!("telemetry.otlp_endpoint=http://{address}"), "telemetry.sample=0"]);
    assert_eq!(api.send(&grab(1, "01")).status, 200);
    // Its caller records nothing of it, and so neither does the service.
    assert_eq!(api.send(&grab(2, "00")).status, 200);
    // No caller decides, and the share is 0.
    api.grab(3, PLENTY);
    let families = metrics(&api);
    let (family, written) = (&families["coupon_trace_spans_total"], documented());
    assert_eq!(written["coupon_trace_spans_total"].meaning(), family.help);
    // A service that stops sends what is left.
    drop(api);
    let spans: Vec<_> = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(1)).ok()).collect();
    assert!(spans.iter().all(|(name, span)| name == "test-svc" && hex(&span.trace_id) == TRACE));
    let spans: BTreeMap<&str, &Span> = spans.iter().map(|(_, span)| (span.name.as_str(), span)).collect();
    assert_eq!(
        spans.keys().copied().collect::<Vec<_>>(),
        ["/api/coupon/grab", "gate", "hand_over", "wait"],
        "one request's"
    );
    let whole = spans["/api/coupon/grab"];
    assert_eq!(hex(&whole.parent_span_id), CALLER);
    for stage in ["wait", "gate", "hand_over"].map(|name| spans[name]) {
        assert_eq!(stage.parent_span_id, whole.span_id, "{}", stage.name);
        assert!(stage.start_time_unix_nano <= stage.end_time_unix_nano);
        assert!(stage.end_time_unix_nano <= whole.end_time_unix_nano, "{}", stage.name);
    }
}

#[test]
fn a_request_that_nobody_else_records_begins_a_trace_of_its_own() {
    let (address, told) = collector();
    let api = Api::with(&[&format!("telemetry.otlp_endpoint=http://{address}/")]);
    let answer = api.get("/api/orders/recent");
    let id = answer.header("x-request-id").unwrap().to_owned();
    drop(api);
    let spans: Vec<_> = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(1)).ok()).collect();
    let (mut shards, mut whole) = (0, 0);
    for (_, span) in spans.iter().filter(|(_, span)| hex(&span.trace_id) == id) {
        match span.name.as_str() {
            "shard" => shards += 1,
            "/api/orders/recent" => {
                whole += 1;
                assert!(span.parent_span_id.iter().all(|byte| *byte == 0));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((shards, whole), (4, 1));
}

/// Grabs until the service says that spans could not be sent.
fn goes_on_without(endpoint: &str) {
    let api = Api::with(&[&format!("telemetry.otlp_endpoint={endpoint}")]);
    let mut user = 0;
    let failed = |api: &Api| {
        let text = api.get("/metrics").text();
        let line =
            text.lines().find_map(|line| line.strip_prefix("coupon_trace_spans_total{outcome=\"failed\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    until("a span is counted as failed", || {
        user = user % 40 + 1;
        assert_eq!(api.send(&grab(user, "01")).status, 200);
        failed(&api) > 0
    });
}

#[test]
fn a_collector_that_is_not_there_delays_nobody_and_is_counted() {
    // Bound and let go of: nothing listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    goes_on_without(&format!("http://{address}"));
}

#[test]
fn a_collector_that_takes_everything_and_answers_nothing_delays_nobody_and_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    goes_on_without(&format!("http://{address}"));
    drop(listener);
}

#[test]
fn without_an_endpoint_there_is_no_word_of_traces() {
    let api = Api::start();
    assert_eq!(api.send(&grab(1, "01")).status, 200);
    assert!(!metrics(&api).contains_key("coupon_trace_spans_total"));
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    for (flag, named) in [
        ("telemetry.otlp_endpoint=https://collector", "telemetry.otlp_endpoint"),
        ("telemetry.otlp_endpoint=collector", "telemetry.otlp_endpoint"),
        ("telemetry.sample=1.5", "telemetry.sample"),
    ] {
        let flags = vec![flag.to_owned()];
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { service_defaults, flags, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let started =
            coupon_service::telemetry::traces::Traces::start(&settings.telemetry, "test-svc", "none");
        let error = format!("{:#}", started.unwrap_err());
        assert!(error.contains(named), "{flag}: {error}");
    }
}
