//! Observations of a case while it runs, beside those of the load and of the audit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use coupon_core::FailReason;
use coupon_loadgen::http::{Target, post_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord, Refusal, StepRecord, Unknown};
use coupon_service::api::GrabResponse;
use serde_json::json;

use super::context::now;
use super::steps::Step;

/// The moments at which the fault came about and was lifted, as far as they have come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FaultTimes {
    pub(super) began: Option<Instant>,
    pub(super) ended: Option<Instant>,
}

/// A record that any thread of a case adds to.
#[derive(Debug, Default)]
pub(super) struct CaseRecord(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    times: FaultTimes,
    /// Grabs beside the load: the service of each, and its outcome.
    grabs: Vec<(&'static str, GrabRecord)>,
    /// Steps beside the load, likewise.
    steps: Vec<(&'static str, StepRecord)>,
    /// Everything that went otherwise than promised, beside the audit's findings.
    failures: Vec<String>,
    notes: Vec<String>,
    /// The number of results that were contradicted on purpose.
    contradicted: u64,
}

impl CaseRecord {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault is there from now on. Says whether it was not yet.
    pub(super) fn fault_begins(&self) -> bool {
        let began = &mut self.entries().times.began;
        let first = began.is_none();
        began.get_or_insert_with(Instant::now);
        first
    }

    /// The fault is over from now on.
    pub(super) fn fault_ends(&self) {
        self.entries().times.ended = Some(Instant::now());
    }

    pub(super) fn fault_times(&self) -> FaultTimes {
        self.entries().times
    }

    /// Notes a failure if something is not as promised.
    pub(super) fn expect(&self, holds: bool, promised: impl Into<String>) {
        if !holds {
            self.entries().failures.push(promised.into());
        }
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.entries().failures.clone()
    }

    pub(super) fn note(&self, note: impl Into<String>) {
        self.entries().notes.push(note.into());
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.entries().notes.clone()
    }

    /// Counts a result that was contradicted on purpose: exactly so many must be parked, over all services.
    pub(super) fn contradicts(&self) {
        self.entries().contradicted += 1;
    }

    pub(super) fn contradicted(&self) -> u64 {
        self.entries().contradicted
    }

    /// Grabs a coupon beside the load, and records the outcome.
    pub(super) fn grab(&self, service: &'static str, target: &Target, user_id: u64, coupon_id: u64) {
        let began = Instant::now();
        let body = json!({ "user_id": user_id, "coupon_id": coupon_id });
        // An answer that does not come, or that decides nothing, leaves the outcome open.
        let answer = post_json::<GrabResponse>(target, "/api/coupon/grab", &body).ok();
        let held = answer.as_ref().and_then(|answer| answer.result_id.as_ref()?.parse().ok());
        let outcome =
            answer.and_then(|answer| decided(&answer)).unwrap_or(GrabOutcome::Unknown(Unknown::Cut));
        let at = began.elapsed();
        let (room_id, request, told_at) = (None, None, now());
        let grab = GrabRecord { user_id, coupon_id, room_id, request, outcome, at, held, told_at };
        self.entries().grabs.push((service, grab));
    }

    /// Takes a step of a result beside the load, and records the outcome.
    pub(super) fn step(&self, service: &'static str, target: &Target, step: Step) {
        let outcome = step.take(target);
        self.entries().steps.push((service, step.record(outcome)));
    }

    /// The steps of a service's results beside the load.
    pub(super) fn steps_of(&self, service: &str) -> Vec<StepRecord> {
        self.entries().steps.iter().filter(|(of, _)| *of == service).map(|(_, step)| *step).collect()
    }

    /// The grabs of a service beside the load.
    pub(super) fn grabs_of(&self, service: &str) -> Vec<GrabRecord> {
        self.entries().grabs.iter().filter(|(of, _)| *of == service).map(|(_, grab)| *grab).collect()
    }
}

/// The outcome of a grab, if its answer decides it.
fn decided(answer: &GrabResponse) -> Option<GrabOutcome> {
    match (answer.grab_status, answer.fail_reason.as_deref()) {
        (1, _) => Some(GrabOutcome::Granted { result_id: answer.result_id.as_ref()?.parse().ok()? }),
        (_, Some("out_of_stock")) => Some(GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock))),
        (_, Some("duplicate")) => Some(GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_begins_once_and_what_holds_is_no_failure() {
        let record = CaseRecord::default();
        assert!(record.fault_begins());
        let began = record.fault_times().began;
        assert!(!record.fault_begins());
        assert_eq!(record.fault_times().began, began);
        record.expect(true, "held");
        record.expect(false, "broken");
        assert_eq!(record.failures(), ["broken"]);
    }
}
