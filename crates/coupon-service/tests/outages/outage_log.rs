//! The log lines of an outage that lasts.

use std::sync::OnceLock;
use std::time::Duration;

use coupon_service::telemetry::subscriber;
use coupon_stack::Server;
use coupon_store::Decision;
use coupon_store::settings::{LogFormat, LogSettings};
use serde_json::Value;

use crate::bench::{Bench, PLENTY, grab, run, stack};
use crate::lines::Lines;
use crate::{alone, drained};

/// Begins to keep what is logged, once for the process: tasks run on threads of their own.
pub(crate) fn listen() {
    lines();
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let (lines, settings) =
            (Lines::default(), LogSettings { format: LogFormat::Json, level: "info".to_owned() });
        let writer = lines.clone();
        let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    })
}

/// The lines logged since the last call.
pub(crate) fn since_then() -> Vec<Value> {
    lines().take().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines that begin so.
pub(crate) fn saying<'a>(lines: &'a [Value], beginning: &str) -> Vec<&'a Value> {
    let says = |line: &&Value| line["message"].as_str().is_some_and(|said| said.starts_with(beginning));
    lines.iter().filter(says).collect()
}

#[test]
fn an_outage_is_a_line_when_it_begins_and_one_with_the_count_when_it_ends() {
    let _alone = alone();
    listen();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        since_then();
        stack().kill(Server::Shard(1)).unwrap();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        // As long as a task that tries every second takes to fail several times.
        tokio::time::sleep(Duration::from_secs(8)).await;
        stack().restart(Server::Shard(1)).unwrap();
        drained(&backend).await;
        backend.lifecycle.close();
        let lines = since_then();
        for (begins, ends) in [
            ("storing is held up", "storing goes on"),
            ("main is told of stock changes later", "main is told of stock changes again"),
        ] {
            let (begun, ended) = (saying(&lines, begins), saying(&lines, ends));
            assert_eq!((begun.len(), ended.len()), (1, 1), "{begins}: {lines:#?}");
            assert_eq!((&begun[0]["shard"], &begun[0]["failures"]), (&"1".into(), &1.into()));
            assert!(!begun[0]["error"].as_str().unwrap().is_empty(), "{:?}", begun[0]);
            assert!(ended[0]["failures"].as_u64().unwrap() > 1, "{:?}", ended[0]);
            assert!(ended[0]["lasted_s"].as_u64().unwrap() >= 5, "{:?}", ended[0]);
        }
        let warnings = lines.iter().filter(|line| line["level"] == "WARN" && line["shard"] == "1").count();
        assert!(warnings < 10, "{warnings} of one outage: {lines:#?}");
    });
}
