//! Services that are killed or stopped under load, and what is left of their promises.

use std::time::Duration;

use coupon_loadgen::http::post_json;
use coupon_loadgen::load::{GrabOutcome, StepOutcome};
use coupon_service::api::{GrabRequest, GrabResponse};
use coupon_strategies::REGISTER;

use crate::system::common::SeededFolder;

/// Three times: load, kill -9 in its midst, start again on what is left. Returns the steps after grabs that were acknowledged.
fn killed_under_load(mut folder: SeededFolder) -> usize {
    let (service, target) = folder.start();
    let (mut granted, mut steps) = (0, 0);
    for round in 0..3_u64 {
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(400 + 150 * round));
                service.kill().unwrap();
            });
            folder.load(&target, Duration::from_secs(1), round)
        });
        granted += outcome.counts.granted;
        steps += outcome.steps.iter().filter(|step| step.outcome == StepOutcome::Taken).count();
        service.start_again().unwrap();
    }
    assert!(granted > 0, "nothing was acknowledged before any of the kills");
    let report = folder.audited(&target);
    assert_eq!(report.violations(), 0, "{:#?}", report.findings);
    assert!(report.acknowledged.is_some_and(|grabs| grabs > 0), "nothing was acknowledged at all");
    service.stop().unwrap();
    steps
}

/// Every strategy, and every baseline.
fn names() -> impl Iterator<Item = &'static str> {
    let baselines = REGISTER.baselines.iter().map(|baseline| baseline.name);
    REGISTER.sharded().map(|family| family.name).chain(baselines)
}

#[test]
fn no_strategy_and_no_baseline_loses_anything_acknowledged_when_killed() {
    std::thread::scope(|scope| {
        for name in names() {
            scope.spawn(move || killed_under_load(SeededFolder::of(name)));
        }
    });
}

#[test]
fn no_strategy_and_no_baseline_loses_a_step_that_was_acknowledged_when_killed() {
    std::thread::scope(|scope| {
        for name in names() {
            scope.spawn(move || {
                let steps = killed_under_load(SeededFolder::of_a_checkout(name));
                assert!(steps > 0, "{name}: no step was acknowledged before any of the kills");
            });
        }
    });
}

#[test]
fn a_service_that_is_told_to_stop_answers_what_it_stores() {
    let mut folder = SeededFolder::of("hash");
    let (service, target) = folder.start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(400));
            service.stop().unwrap();
        });
        folder.load(&target, Duration::from_secs(1), 1);
    });
    service.start_again().unwrap();
    let report = folder.audited(&target);
    assert_eq!(report.violations(), 0, "{:#?}", report.findings);
    assert_eq!(report.unknown_stored, 0, "a grab was stored, but its user never heard of it");
}

#[test]
fn a_user_who_asks_again_after_a_restart_is_told_of_the_same_result() {
    let mut folder = SeededFolder::of("range-time");
    let (service, target) = folder.start();
    let outcome = folder.load(&target, Duration::from_millis(300), 1);
    service.kill().unwrap();
    service.start_again().unwrap();

    let granted = outcome.grabs.iter().find_map(|grab| match grab.outcome {
        GrabOutcome::Granted { result_id } => Some((grab.user_id, grab.coupon_id, result_id)),
        _ => None,
    });
    let (user_id, coupon_id, result_id) = granted.unwrap();
    let again = GrabRequest { user_id, coupon_id, room_id: None, request_id: None };
    let answer: GrabResponse = post_json(&target, "/api/coupon/grab", &again).unwrap();
    assert_eq!((answer.grab_status, answer.fail_reason.as_deref()), (0, Some("duplicate")));
    assert_eq!(answer.result_id, Some(result_id.to_string()));
}
