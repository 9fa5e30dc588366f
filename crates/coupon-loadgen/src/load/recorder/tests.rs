//! Answers, as the recorder counts them.

use super::*;
use crate::workload::{Course, RequestName};

const PAUSE: Duration = Duration::from_millis(40);

#[test]
fn only_status_one_with_an_id_is_granted() {
    let granted = br#"{"grab_status":1,"fail_reason":null,"result_id":"42"}"#;
    assert_eq!(ReadAnswer::of(200, granted), ReadAnswer::plain(GrabOutcome::Granted { result_id: 42 }));
    for body in [&br#"{"grab_status":1,"result_id":null}"#[..], b"{}", b"<html>", br#"{"grab_status":0}"#] {
        assert_eq!(ReadAnswer::of(200, body).outcome, GrabOutcome::Unknown(Unknown::Unreadable));
    }
}

#[test]
fn a_duplicate_names_the_result_that_the_user_holds() {
    let duplicate = br#"{"grab_status":0,"fail_reason":"duplicate","result_id":"42"}"#;
    let outcome = GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate));
    assert_eq!(ReadAnswer::of(200, duplicate), ReadAnswer { held: Some(42), ..ReadAnswer::plain(outcome) });
}

#[test]
fn a_refusal_by_status_is_certain_only_below_500() {
    assert_eq!(ReadAnswer::of(404, b"").outcome, GrabOutcome::Refused(Refusal::Status(404)));
    assert_eq!(ReadAnswer::of(429, b"").outcome, GrabOutcome::Refused(Refusal::Status(429)));
    assert_eq!(ReadAnswer::of(503, b"").outcome, GrabOutcome::Unknown(Unknown::Status(503)));
    assert_eq!(ReadAnswer::of(500, b"").outcome, GrabOutcome::Unknown(Unknown::Status(500)));
}

#[test]
fn a_result_takes_the_course_that_its_user_wants_from_the_state_that_it_is_in() {
    let body =
        |state| format!(r#"{{"grab_status":1,"fail_reason":null,"result_id":"42","state":"{state}"}}"#);
    let (held, owned) = (body("held"), body("owned"));
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let grab = |course| Request {
        part: Some(CheckoutPart::Grab { name: RequestName(5), course, pause: PAUSE }),
        ..Request::alone(Endpoint::Grab, 1, 2, 1)
    };
    let mut answered =
        |request: &Request, body: &str| recorder.answered(request, 200, body.as_bytes(), Duration::ZERO);
    let confirm = answered(&grab(Course::Returned), &held).unwrap();
    let part = Some(CheckoutPart::Step { result: 42, course: Course::Returned, pause: PAUSE });
    assert_eq!((confirm.endpoint, confirm.user_id, confirm.part), (Endpoint::Confirm, 1, part));
    assert_eq!(confirm.pause(), PAUSE);
    let back = answered(&confirm, "{}").unwrap();
    assert_eq!((back.endpoint, back.part), (Endpoint::Return, part));
    assert_eq!(answered(&back, "{}"), None);
    for (course, state, wanted) in [
        (Course::Expires, &held, None),
        (Course::Released, &held, Some(Endpoint::Release)),
        (Course::Released, &owned, None),
        (Course::Kept, &owned, None),
        (Course::Used, &owned, Some(Endpoint::Use)),
        (Course::Used, &body("expired"), None),
    ] {
        let step = answered(&grab(course), state);
        assert_eq!(step.map(|step| step.endpoint), wanted, "{course:?}, {state}");
    }
    assert_eq!(answered(&Request::alone(Endpoint::Grab, 1, 2, 1), &held), None, "no checkout");
}

#[test]
fn a_step_is_remembered_as_it_ended_and_nothing_follows_one_that_was_not_taken() {
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let part = Some(CheckoutPart::Step { result: 42, course: Course::Used, pause: PAUSE });
    let step = Request { part, ..Request::alone(Endpoint::Confirm, 1, 2, 1) };
    let plan = br#"{"result":{},"plan":{"shards":[0,1],"tables":3}}"#;
    assert!(recorder.answered(&step, 200, plan, Duration::ZERO).is_some());
    for status in [409, 503] {
        assert_eq!(recorder.answered(&step, status, b"{}", Duration::ZERO), None);
    }
    recorder.failed(&step, Failure::TimedOut, Duration::ZERO);
    recorder.failed(&step, Failure::NoConnection, Duration::ZERO);
    let outcome = recorder.outcome(Duration::from_secs(1), None, Duration::ZERO);
    let ends: Vec<StepOutcome> = outcome.steps.iter().map(|step| step.outcome).collect();
    assert_eq!(
        ends,
        [StepOutcome::Taken, StepOutcome::Refused(409), StepOutcome::Unknown, StepOutcome::Unknown]
    );
    assert!(outcome.steps.iter().all(|step| (step.user_id, step.result_id) == (1, 42)));
    let confirmed = &outcome.endpoints[&Endpoint::Confirm];
    assert_eq!((confirmed.ok, confirmed.shards_visited, confirmed.tables_visited), (1, 2, 3));
    assert!(outcome.grabs.is_empty());
}

#[test]
fn sold_out_is_an_answer_and_no_error() {
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let request = Request::alone(Endpoint::Grab, 1, 2, 1);
    let body = br#"{"grab_status":0,"fail_reason":"out_of_stock","result_id":null}"#;
    recorder.answered(&request, 200, body, Duration::from_millis(3));
    let outcome = recorder.outcome(Duration::from_secs(1), None, Duration::ZERO);
    assert_eq!((outcome.sold_out, outcome.counts.granted, outcome.errors(), outcome.ok()), (1, 0, 0, 1));
    assert_eq!(outcome.endpoints[&Endpoint::Grab].latency.max() / 100, 30);
}

#[test]
fn each_scenario_counts_its_own_requests() {
    let mut recorder = Recorder::new(["normal", "admin"].into_iter(), Vec::new());
    let request = |scenario| Request { scenario, ..Request::alone(Endpoint::Stock, 1, 2, 1) };
    recorder.answered(&request(0), 200, b"{}", Duration::from_millis(2));
    recorder.answered(&request(1), 503, b"{}", Duration::from_millis(1));
    recorder.failed(&request(1), Failure::TimedOut, Duration::from_millis(50));
    let outcome = recorder.outcome(Duration::from_secs(1), None, Duration::ZERO);
    let [normal, admin] = outcome.scenarios.as_slice() else { panic!("{:?}", outcome.scenarios) };
    assert_eq!((normal.name.as_str(), normal.tally.ok, normal.tally.errors), ("normal", 1, 0));
    assert_eq!((admin.tally.ok, admin.tally.errors, admin.tally.latency.len()), (0, 2, 1));
    assert_eq!(admin.tally.latency.max() / 1_000, 50);
}

#[test]
fn a_partial_read_is_an_error() {
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let request = Request::alone(Endpoint::Recent, 1, 2, 1);
    recorder.answered(&request, 200, br#"{"partial":true,"plan":{"shards":[0],"tables":1}}"#, Duration::ZERO);
    recorder.answered(
        &request,
        200,
        br#"{"partial":false,"plan":{"shards":[0,1],"tables":2}}"#,
        Duration::ZERO,
    );
    let outcome = recorder.outcome(Duration::from_secs(1), None, Duration::ZERO);
    let recent = &outcome.endpoints[&Endpoint::Recent];
    assert_eq!(
        (recent.ok, recent.errors["partial answer"], recent.shards_visited, recent.planned),
        (1, 1, 2, 1)
    );
}

#[test]
fn a_grab_that_was_never_sent_is_not_remembered() {
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let request = Request::alone(Endpoint::Grab, 1, 2, 1);
    recorder.failed(&request, Failure::Unsent, Duration::from_secs(10));
    recorder.failed(&request, Failure::NoConnection, Duration::ZERO);
    recorder.failed(&request, Failure::Cut, Duration::ZERO);
    let outcome = recorder.outcome(Duration::from_secs(1), None, Duration::ZERO);
    assert_eq!(outcome.grabs.len(), 1);
    assert_eq!((outcome.unsent, outcome.counts.unknown, outcome.errors()), (1, 1, 3));
}
