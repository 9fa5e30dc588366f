//! The generator against services that misbehave in every way a service can.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::http::Target;
use crate::workload::{ArrivalShape, CatalogueSpec, Checkout, Endpoint, Requests, Step, Trace, Workload};

const GRANTED: &str = r#"{"grab_status":1,"fail_reason":null,"result_id":"42"}"#;

fn response(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A service that hands each request and its number to `answer`, writes what it returns, and closes the connection
/// when it returns nothing.
fn service(answer: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::new("test", listener.local_addr().unwrap());
    let shared = Arc::new((Mutex::new(0), answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, shared) = (stream.unwrap(), Arc::clone(&shared));
            std::thread::spawn(move || {
                while let Some(request) = read_request(&mut stream) {
                    let number = {
                        let mut count = shared.0.lock().unwrap();
                        *count += 1;
                        *count - 1
                    };
                    let Some(text) = (shared.1)(number, &request) else { return };
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    target
}

/// A request arrives in one piece here, since it is sent in one.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = [0; 1024];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

fn grabs(arrivals: Arrivals) -> LoadSpec {
    let workload = Workload::distinct_grabs(CatalogueSpec::default(), 0);
    let duration = Duration::from_millis(400);
    LoadSpec {
        workload,
        connections: 1,
        duration,
        timeout: Duration::from_secs(5),
        ..LoadSpec::new(arrivals)
    }
}

const OPEN: Arrivals = Arrivals::Open { rate: 100.0 };

#[test]
fn a_stall_shows_in_every_request_that_was_meant_to_start_during_it() {
    let target = service(|number, _| {
        sleep(Duration::from_millis(if number == 0 { 400 } else { 0 }));
        Some(response(200, GRANTED))
    });
    let outcome = run_load(&target, &grabs(OPEN)).unwrap();
    let latency = &outcome.endpoints[&Endpoint::Grab].latency;
    assert!(latency.len() > 20, "{}", latency.len());
    // Counted from when each was sent, all but one would have been quick.
    assert!(latency.value_at_quantile(0.5) > 100_000, "{} µs", latency.value_at_quantile(0.5));
    assert_eq!(outcome.counts.granted, latency.len());
}

#[test]
fn a_cut_connection_leaves_the_grab_unknown_and_the_next_one_connects_anew() {
    let target = service(|number, _| (number % 2 == 1).then(|| response(200, GRANTED)));
    let outcome = run_load(&target, &grabs(OPEN)).unwrap();
    let grabs = &outcome.endpoints[&Endpoint::Grab];
    assert!(outcome.counts.unknown > 5 && outcome.counts.granted > 5, "{:?}", outcome.counts);
    assert_eq!(grabs.errors["connection cut"], outcome.counts.unknown);
    assert_eq!(grabs.ok, outcome.counts.granted);
    assert!(outcome.reconnects >= outcome.counts.granted.min(outcome.counts.unknown) - 1);
    assert_eq!(outcome.grabs[0].outcome, GrabOutcome::Unknown(Unknown::Cut));
    assert_eq!(outcome.grabs[1].outcome, GrabOutcome::Granted { result_id: 42 });
}

#[test]
fn an_answer_cut_short_is_unknown_too() {
    let target = service(|_, _| {
        let whole = response(200, GRANTED);
        Some(whole.replace("Content-Length: 5", "Connection: close\r\nContent-Length: 15"))
    });
    let spec = LoadSpec { timeout: Duration::from_millis(200), ..grabs(OPEN) };
    let outcome = run_load(&target, &spec).unwrap();
    assert!(outcome.counts.unknown > 0 && outcome.counts.granted == 0, "{:?}", outcome.counts);
}

#[test]
fn a_service_that_never_answers_is_given_up_on() {
    let began = Instant::now();
    let target = service(|_, _| {
        sleep(Duration::from_secs(60));
        None
    });
    let spec = LoadSpec { timeout: Duration::from_millis(300), ..grabs(OPEN) };
    let outcome = run_load(&target, &spec).unwrap();
    let grabs = &outcome.endpoints[&Endpoint::Grab];
    assert!(began.elapsed() < Duration::from_secs(30), "it must end by itself");
    assert!(grabs.errors["time-out"] >= 1 && outcome.counts.unknown == grabs.errors["time-out"]);
    assert_eq!(outcome.unsent, grabs.errors["not sent in time"]);
    assert!(grabs.latency.max() >= 300_000, "the time waited counts");
    assert_eq!(outcome.counts.unknown + outcome.unsent, grabs.requests());
}

#[test]
fn what_is_sent_late_in_a_load_has_its_time_all_the_same() {
    let answer = Duration::from_millis(600);
    let target = service(move |_, _| {
        sleep(answer);
        Some(response(200, GRANTED))
    });
    // The second request is sent when the first is answered, and answered long after the load's time and a time-out.
    let spec = LoadSpec {
        duration: Duration::from_millis(100),
        timeout: Duration::from_millis(1_000),
        ..grabs(Arrivals::Open { rate: 200.0 })
    };
    let outcome = run_load(&target, &spec).unwrap();
    let errors = &outcome.endpoints[&Endpoint::Grab].errors;
    assert_eq!((errors.get("time-out"), outcome.counts.granted), (None, 2), "{errors:?}");
    assert_eq!(outcome.unsent, errors["not sent in time"]);
}

#[test]
fn a_load_that_is_stopped_does_not_send_what_still_waits() {
    let target = service(|_, _| {
        sleep(Duration::from_millis(1_500));
        Some(response(200, GRANTED))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let spec = LoadSpec {
        duration: Duration::from_secs(60),
        stop: Some(Arc::clone(&stop)),
        ..grabs(Arrivals::Open { rate: 1_000.0 })
    };
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(Duration::from_millis(200));
            stop.store(true, Ordering::Relaxed);
        });
        run_load(&target, &spec).unwrap()
    });
    // Some hundred were due by then, over one connection.
    assert_eq!((ended.counts.granted, ended.unsent, ended.errors()), (1, 0, 0));
}

#[test]
fn a_chunked_answer_is_read() {
    let target = service(|_, _| {
        let (head, tail) = GRANTED.split_at(10);
        let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
        let body = format!("{}{}0\r\n\r\n", chunk(head), chunk(tail));
        Some(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
    });
    let outcome = run_load(&target, &grabs(OPEN)).unwrap();
    assert!(outcome.counts.granted > 20 && outcome.errors() == 0, "{:?}", outcome.counts);
    assert_eq!(outcome.reconnects, 0);
}

#[test]
fn a_busy_service_leaves_the_grab_unknown() {
    let target = service(|_, _| Some(response(503, "{}")));
    let outcome = run_load(&target, &grabs(OPEN)).unwrap();
    let grabs = &outcome.endpoints[&Endpoint::Grab];
    assert!(grabs.errors["503"] > 20 && grabs.latency.is_empty());
    assert!(outcome.grabs.iter().all(|grab| grab.outcome == GrabOutcome::Unknown(Unknown::Status(503))));
}

#[test]
fn a_service_that_closes_idle_connections_loses_no_request() {
    let target = service(|_, _| {
        let closing = "HTTP/1.1 200 X\r\nConnection: close\r\n";
        Some(response(200, GRANTED).replace("HTTP/1.1 200 X\r\n", closing))
    });
    let outcome = run_load(&target, &grabs(OPEN)).unwrap();
    assert!(outcome.counts.granted > 20 && outcome.errors() == 0, "{:?}", outcome.counts);
    assert_eq!(outcome.reconnects, outcome.counts.granted - 1);
}

#[test]
fn a_closed_loop_sends_the_next_request_when_the_last_is_answered() {
    let target = service(|_, _| Some(response(200, GRANTED)));
    let outcome = run_load(&target, &LoadSpec { connections: 3, ..grabs(Arrivals::Closed) }).unwrap();
    assert!(outcome.counts.granted > 3);
    assert_eq!(outcome.generator.requests, outcome.counts.granted);
    assert!(outcome.elapsed >= Duration::from_millis(400));
    assert_eq!(outcome.errors(), 0);
}

#[test]
fn every_target_gets_the_same_requests() {
    let seen = || {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let target = service(move |_, request| {
            let request = request.lines().filter(|line| !line.starts_with("Host")).collect::<String>();
            log.lock().unwrap().push(request);
            Some(response(200, r#"{"plan":{"shards":[0],"tables":1}}"#))
        });
        let spec =
            LoadSpec { workload: Workload::default(), seed: 9, ..grabs(Arrivals::Open { rate: 300.0 }) };
        run_load(&target, &spec).unwrap();
        std::mem::take(&mut *requests.lock().unwrap())
    };
    let first = seen();
    assert!(first.len() > 60);
    assert_eq!(first, seen());
}

#[test]
fn a_trace_is_sent_once_and_ends_before_the_duration_does() {
    let target = service(|_, _| Some(response(200, GRANTED)));
    let catalogue = CatalogueSpec::default();
    let lines = (1..=5).map(|user| format!("{user},1,1,2026-11-22T10:00:0{user}Z\n")).collect::<String>();
    let text = format!("user_id,room_id,coupon_id,grab_time\n{lines}");
    let requests = Requests::Trace(Trace::read(&text, "x.csv".into(), &catalogue).unwrap());
    let workload = Workload::of("x".into(), catalogue, requests);
    for arrivals in [Arrivals::Open { rate: 50.0 }, Arrivals::Closed] {
        let duration = Duration::from_secs(3_600);
        let outcome =
            run_load(&target, &LoadSpec { workload: workload.clone(), duration, ..grabs(arrivals) }).unwrap();
        let users: Vec<_> = outcome.grabs.iter().map(|grab| grab.user_id).collect();
        assert_eq!(users, [1, 2, 3, 4, 5]);
        assert!(outcome.elapsed < duration);
    }
}

#[test]
fn a_target_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = format!("{:#}", run_load(&Target::new("x", free), &grabs(OPEN)).unwrap_err());
    assert!(error.contains(&free.to_string()), "{error}");
}

#[test]
fn a_load_that_makes_no_sense_is_refused() {
    let target = service(|_, _| None);
    for spec in [
        grabs(Arrivals::Open { rate: 0.0 }),
        grabs(Arrivals::Open { rate: f64::NAN }),
        LoadSpec { connections: 0, ..grabs(OPEN) },
        LoadSpec { duration: Duration::ZERO, ..grabs(OPEN) },
        LoadSpec { timeout: Duration::ZERO, ..grabs(OPEN) },
    ] {
        assert!(run_load(&target, &spec).is_err(), "{spec:?}");
    }
}

#[test]
fn each_step_has_figures_of_its_own() {
    let target = service(|_, _| Some(response(200, GRANTED)));
    let step = |rate| Step { users: None, rate: Some(rate), seconds: 0.3 };
    let shape = ArrivalShape::Steps { steps: vec![step(100.0), step(0.0), step(400.0)] };
    let workload =
        Workload { arrivals: Some(shape), ..Workload::distinct_grabs(CatalogueSpec::default(), 0) };
    let spec = LoadSpec {
        workload,
        duration: Duration::from_millis(900),
        connections: 8,
        ..LoadSpec::new(Arrivals::Open { rate: 1.0 })
    };
    let outcome = run_load(&target, &spec).unwrap();
    let [few, none, many] = outcome.phases.as_slice() else { panic!("{:?}", outcome.phases) };
    assert_eq!(few.tally.ok + none.tally.ok + many.tally.ok, outcome.ok());
    assert!(few.tally.ok > 0 && none.tally.ok == 0 && many.tally.ok > few.tally.ok, "{:?}", outcome.phases);
    assert_eq!((many.from, many.until), (Duration::from_millis(600), Duration::from_millis(900)));
    assert_eq!(many.tally.latency.len(), many.tally.ok);
    assert!(run_load(&target, &LoadSpec { arrivals: Arrivals::Closed, ..spec }).unwrap().phases.is_empty());
}

/// Users who confirm what they get held, and spend it, after so long a thought each.
fn shoppers(arrivals: Arrivals, think_s: f64) -> LoadSpec {
    let mut workload = Workload::default();
    let Requests::Scenarios(scenarios) = &mut workload.requests else { panic!() };
    scenarios.truncate(1);
    let checkout = Checkout { think_s: [think_s; 2], ..Checkout::default() };
    scenarios[0].checkout = Some(Checkout { release: 0.0, expire: 0.0, used: 1.0, ..checkout });
    LoadSpec { workload, ..grabs(arrivals) }
}

#[test]
fn a_step_comes_once_its_user_has_thought_and_none_after_the_end() {
    const HELD: &str = r#"{"grab_status":1,"fail_reason":null,"result_id":"42","state":"held"}"#;
    for arrivals in [OPEN, Arrivals::Closed] {
        let target = service(|_, _| {
            // In a closed loop, not thousands of them.
            sleep(Duration::from_millis(2));
            Some(response(200, HELD))
        });
        let outcome = run_load(&target, &shoppers(arrivals, 0.02)).unwrap();
        let taken = |endpoint| {
            let of = outcome.steps.iter().filter(|step| step.endpoint == endpoint);
            of.filter(|step| step.outcome == StepOutcome::Taken).count() as u64
        };
        let [confirmed, used] = [Endpoint::Confirm, Endpoint::Use].map(taken);
        assert!(0 < used && used <= confirmed && confirmed <= outcome.counts.granted, "{used} {confirmed}");
        assert_eq!(outcome.errors(), 0);
        let thoughtful = run_load(&target, &shoppers(arrivals, 60.0)).unwrap();
        assert!(thoughtful.counts.granted > 0 && thoughtful.steps.is_empty());
    }
}

#[test]
fn requests_that_are_kept_say_when_they_were_due_and_how_they_ended() {
    let target = service(|number, _| {
        Some(match number {
            0 => response(503, ""),
            1 => response(200, r#"{"grab_status":0,"fail_reason":"out_of_stock","result_id":null}"#),
            _ => response(200, GRANTED),
        })
    });
    let outcome = run_load(&target, &LoadSpec { keep_each: true, ..grabs(OPEN) }).unwrap();
    let ends: Vec<End> = outcome.each.iter().map(|ended| ended.end).collect();
    assert_eq!(ends[..3], [End::Failed, End::Refused, End::Granted]);
    assert_eq!(ends.len() as u64, outcome.endpoints[&Endpoint::Grab].requests());
    assert!(outcome.each.iter().all(|ended| ended.due < Duration::from_millis(400)), "{:?}", outcome.each);
    assert!(run_load(&target, &grabs(OPEN)).unwrap().each.is_empty());
}
