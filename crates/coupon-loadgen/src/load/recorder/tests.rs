//! What is made of an answer.

use super::*;

#[test]
fn only_status_one_with_an_id_is_granted() {
    let granted = br#"{"grab_status":1,"fail_reason":null,"result_id":"42"}"#;
    assert_eq!(Told::of(200, granted), Told::plain(GrabOutcome::Granted { result_id: 42 }));
    for body in [&br#"{"grab_status":1,"result_id":null}"#[..], b"{}", b"<html>", br#"{"grab_status":0}"#] {
        assert_eq!(Told::of(200, body).outcome, GrabOutcome::Unknown(Unknown::Unreadable));
    }
}

#[test]
fn a_duplicate_names_the_result_that_the_user_holds() {
    let duplicate = br#"{"grab_status":0,"fail_reason":"duplicate","result_id":"42"}"#;
    let outcome = GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate));
    assert_eq!(Told::of(200, duplicate), Told { held: Some(42), ..Told::plain(outcome) });
}

#[test]
fn a_refusal_by_status_is_certain_only_below_500() {
    assert_eq!(Told::of(404, b"").outcome, GrabOutcome::Refused(Refusal::Status(404)));
    assert_eq!(Told::of(429, b"").outcome, GrabOutcome::Refused(Refusal::Status(429)));
    assert_eq!(Told::of(503, b"").outcome, GrabOutcome::Unknown(Unknown::Status(503)));
    assert_eq!(Told::of(500, b"").outcome, GrabOutcome::Unknown(Unknown::Status(500)));
}

#[test]
fn what_is_held_is_followed_by_its_step_and_nothing_else_is() {
    let held = br#"{"grab_status":1,"fail_reason":null,"result_id":"42","state":"held"}"#;
    let owned = br#"{"grab_status":1,"fail_reason":null,"result_id":"42","state":"owned"}"#;
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let grab = |then| Request {
        part: Some(Part::Grab { name: 5, then }),
        ..Request::alone(Endpoint::Grab, 1, 2, 1)
    };
    let mut answered = |request: &Request, body: &[u8]| recorder.answered(request, 200, body, Duration::ZERO);
    let step = answered(&grab(Some(Endpoint::Release)), held).unwrap();
    assert_eq!((step.endpoint, step.user_id, step.part), (Endpoint::Release, 1, Some(Part::Step(42))));
    assert_eq!(answered(&grab(None), held), None, "left to expire");
    assert_eq!(answered(&grab(Some(Endpoint::Confirm)), owned), None, "the user's at once");
    assert_eq!(answered(&Request::alone(Endpoint::Grab, 1, 2, 1), held), None, "no checkout");
    assert_eq!(answered(&step, br#"{"result":{},"plan":{"shards":[0,1],"tables":3}}"#), None);
    recorder.answered(&step, 409, b"{}", Duration::ZERO);
    recorder.failed(&step, Failure::TimedOut, Duration::ZERO);
    recorder.failed(&step, Failure::NoConnection, Duration::ZERO);
    let outcome = recorder.outcome(Duration::from_secs(1), None);
    let ends: Vec<StepOutcome> = outcome.steps.iter().map(|step| step.outcome).collect();
    assert_eq!(ends, [StepOutcome::Taken, StepOutcome::Refused(409), StepOutcome::Unknown]);
    assert!(outcome.steps.iter().all(|step| (step.user_id, step.result_id) == (1, 42)));
    let released = &outcome.endpoints[&Endpoint::Release];
    assert_eq!((released.ok, released.shards_visited, released.tables_visited), (1, 2, 3));
    assert_eq!((outcome.counts.granted, outcome.grabs.len()), (4, 4));
}

#[test]
fn sold_out_is_an_answer_and_no_error() {
    let mut recorder = Recorder::new(std::iter::empty(), Vec::new());
    let request = Request::alone(Endpoint::Grab, 1, 2, 1);
    let body = br#"{"grab_status":0,"fail_reason":"out_of_stock","result_id":null}"#;
    recorder.answered(&request, 200, body, Duration::from_millis(3));
    let outcome = recorder.outcome(Duration::from_secs(1), None);
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
    let outcome = recorder.outcome(Duration::from_secs(1), None);
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
    let outcome = recorder.outcome(Duration::from_secs(1), None);
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
    let outcome = recorder.outcome(Duration::from_secs(1), None);
    assert_eq!(outcome.grabs.len(), 1);
    assert_eq!((outcome.unsent, outcome.counts.unknown, outcome.errors()), (1, 1, 3));
}
