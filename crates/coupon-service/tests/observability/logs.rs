//! The access log.

use std::io;

use coupon_service::telemetry::subscriber;
use coupon_store::settings::NoSettings;
use coupon_store::settings::{LogFormat, LogSettings, Sources};
use tracing::Level;

use crate::client::request;
use crate::fixture::Api;
use crate::lines::Lines;

#[test]
fn the_access_log_says_which_request_it_was_and_how_it_was_answered() {
    let lines = Lines::default();
    let writer = lines.clone();
    let settings = LogSettings { format: LogFormat::Json, level: "info,access=debug".to_owned() };
    // For the whole process: requests are answered on threads of the service's own.
    tracing::subscriber::set_global_default(subscriber(&settings, false, move || writer.clone()).unwrap())
        .unwrap();
    // The only request with this id in the process.
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let header = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    Api::start().send(&request("GET", "/api/coupon/999999999/stock", &header, b""));
    let text = lines.take();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mine: Vec<_> = events.filter(|event| event["request_id"] == trace).collect();
    let [event] = &mine[..] else { panic!("{text}") };
    assert_eq!((&event["target"], &event["level"]), (&"access".into(), &"DEBUG".into()));
    assert_eq!(event["route"], "/api/coupon/{coupon_id}/stock");
    assert_eq!((event["status"].as_u64(), event["method"].as_str()), (Some(404), Some("GET")));
    assert!(event["duration_ms"].as_f64().is_some_and(|took| took > 0.0), "{event}");
}

#[test]
fn nobody_gets_an_access_log_who_has_not_asked_for_one() {
    let sources = Sources { service_defaults: "listen = \"127.0.0.1:0\"".to_owned(), ..Sources::default() };
    let (settings, NoSettings {}) = sources.read("own").unwrap();
    tracing::subscriber::with_default(subscriber(&settings.log, false, io::sink).unwrap(), || {
        assert!(!tracing::enabled!(target: "access", Level::DEBUG));
        assert!(tracing::enabled!(target: "coupon_service", Level::INFO));
    });
}
