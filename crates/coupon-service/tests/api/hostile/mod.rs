//! Hostile requests, made from the service's own description of what it takes: whatever comes, the answer is one that
//! is described, and never the service's own fault.

#![expect(clippy::indexing_slicing, reason = "helpers of tests may panic, and JSON does not")]

mod answers;
mod cursors;
mod description;
mod raw;
mod requests;
mod schema;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use coupon_service::telemetry::subscriber;
use coupon_store::settings::{LogFormat, LogSettings};
use proptest::prop_assert;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::fixture::Api;
use answers::check;
use description::Description;
use requests::Hostile;

/// The number of requests of each test, unless that takes too long: then the rest is left for another day.
const CASES: u32 = 2_000;
const ENOUGH: Duration = Duration::from_secs(8);

/// Everything that services in this process log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let (settings, writer) =
        (LogSettings { format: LogFormat::Text, level: "trace".to_owned() }, log.clone());
    let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

/// Sends one after the other. Failures are shown as they are: a file of old ones would be one more thing to keep.
fn send_each<S: Strategy>(any: &S, mut send: impl FnMut(S::Value) -> TestCaseResult) {
    let started = Instant::now();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let send = RefCell::new(&mut send);
    let sent = TestRunner::new(config)
        .run(any, |request| if started.elapsed() < ENOUGH { (send.borrow_mut())(request) } else { Ok(()) });
    sent.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Sends them all, and returns the statuses: the check would be worth nothing if all were refused alike.
fn send_all(api: &Api, tokens: &[String]) -> BTreeMap<u16, usize> {
    LazyLock::force(&LOG);
    let description = Description::read(api);
    let any = requests::any_of(&description, tokens);
    let mut seen = BTreeMap::new();
    let mut send = |request: Hostile| {
        let mut connection = api.connect();
        let bytes = request.bytes();
        connection.try_send(&bytes.repeat(request.times));
        for _ in 0..request.times {
            let answer = connection.receive(request.method == "HEAD");
            check(&description, &request, &answer)?;
            *seen.entry(answer.status).or_default() += 1;
            // A body that is not read to its end ends the connection: what was sent behind it may stay without an
            // answer.
            if answer.header("connection") == Some("close") {
                prop_assert!(request.has_body(), "it hangs up without a reason");
                break;
            }
        }
        Ok(())
    };
    send_each(&any, &mut send);
    // More of one user's than may be, for sure.
    send(Hostile::grabs(100)).unwrap();
    assert_eq!(api.get("/healthz").status, 200);
    assert_eq!(api.get("/readyz").status, 200);
    seen
}

#[test]
fn whatever_is_asked_of_an_open_service_the_answer_is_one_that_is_described() {
    let seen = send_all(&Api::with(&["limits.user_grabs_per_s=1", "limits.user_grab_burst=1"]), &[]);
    for status in [200, 400, 404, 405, 422, 429] {
        assert!(seen.contains_key(&status), "{status} is not among {seen:?}");
    }
}

#[test]
fn whatever_is_asked_of_a_guarded_service_the_answer_is_one_that_is_described() {
    let secret = "a secret of more than 32 characters";
    let api = Api::with(&[
        "admin.token=open sesame",
        "bench.echo=true",
        "cache.room_stats_ms=1000",
        &format!("users.token_secret={secret}"),
    ]);
    let tokens = [1, 2, 41].map(|user| crate::api::identity::token(secret, user, 3_600_000));
    let wrong = crate::api::identity::token("another secret of more than 32 characters", 1, 3_600_000);
    let admin = "Authorization: Bearer open sesame\r\n".to_owned();
    let seen = send_all(
        &api,
        &[&tokens[..], &[wrong, admin, "Authorization: Bearer \u{e9}\r\n".to_owned()]].concat(),
    );
    for status in [200, 400, 401, 404, 405] {
        assert!(seen.contains_key(&status), "{status} is not among {seen:?}");
    }
}

#[test]
fn nothing_that_was_asked_forges_a_line_of_the_log() {
    LazyLock::force(&LOG);
    let api = Api::start();
    (0..4).for_each(|shard| api.break_shard(shard));
    for path in [
        "/api/user/1/coupons?x=%0A2026-01-01T00:00:00Z%20ERROR%20forged",
        "/api/user/1/coupons",
        "/nowhere/%0D%0Aforged%1B[2K",
        "/docs/%0Aforged",
        "/api/orders/recent",
    ] {
        assert!(api.get(path).status >= 400, "{path}");
    }
    (0..4).for_each(|shard| api.mend_shard(shard));
    let log = LOG.0.lock().unwrap().clone();
    let log = String::from_utf8(log).unwrap();
    let is_ours = |line: &str| line.get(..2) == Some("20") && line.get(4..5) == Some("-");
    assert!(log.lines().any(|line| line.contains("WARN")), "nothing was logged");
    for line in log.lines() {
        assert!(is_ours(line) && !line.chars().any(char::is_control), "{line:?}");
    }
}
