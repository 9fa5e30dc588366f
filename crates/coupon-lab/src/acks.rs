//! Answers that clients got, as the auditor takes them.

use coupon_audit::{Ack, Claim, Claims, ClientAnswer, StepAnswer};
use coupon_core::FailReason;
use coupon_loadgen::load::{GrabOutcome, GrabRecord, Outcome, Refusal, StepOutcome, StepRecord};
use coupon_loadgen::workload::Endpoint;

/// The acknowledgement that a grab's client got.
#[must_use]
pub fn ack(grab: &GrabRecord) -> Ack {
    let claim = match grab.outcome {
        GrabOutcome::Granted { result_id } => Claim::Granted(result_id),
        GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate)) => Claim::Held(grab.held),
        GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock)) => Claim::SoldOut,
        GrabOutcome::Refused(Refusal::Decided(FailReason::InvalidTime)) => {
            Claim::InvalidTime(Some(grab.told_at))
        }
        GrabOutcome::Refused(Refusal::Status(_)) => Claim::Refused,
        GrabOutcome::Unknown(_) => Claim::Unknown,
    };
    Ack { user: grab.user_id, told: ClientAnswer::Grab(grab.coupon_id, claim), told_at: grab.told_at }
}

/// The acknowledgement that a step's client got; none of one that was refused, which leaves the result as it was.
fn step(step: &StepRecord) -> Option<Ack> {
    let told = match (step.outcome, step.endpoint) {
        (StepOutcome::Taken, Endpoint::Confirm) => StepAnswer::Confirmed,
        (StepOutcome::Taken, _) => StepAnswer::Released,
        (StepOutcome::Unknown, Endpoint::Confirm) => StepAnswer::ConfirmUnknown,
        (StepOutcome::Unknown, _) => StepAnswer::ReleaseUnknown,
        (StepOutcome::Refused(_), _) => return None,
    };
    Some(Ack { user: step.user_id, told: ClientAnswer::Step(step.result_id, told), told_at: step.told_at })
}

/// Every acknowledgement of a load.
pub fn of(outcome: &Outcome) -> impl Iterator<Item = Ack> {
    outcome.grabs.iter().map(ack).chain(outcome.steps.iter().filter_map(step))
}

/// Adds every answer of a load to clients' claims.
pub fn claim_all(outcome: &Outcome, claims: &mut Claims) {
    of(outcome).for_each(|Ack { user, told, .. }| claims.take(user, told));
}

/// Adds the answer to a grab to clients' claims.
pub fn claim(grab: &GrabRecord, claims: &mut Claims) {
    let Ack { user, told, .. } = ack(grab);
    claims.take(user, told);
}
