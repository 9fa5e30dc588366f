//! Answers that clients got, as the auditor takes them.

use coupon_audit::{Ack, Claims, ClientAnswer, GrabClaim, StepAnswer, UseAnswer};
use coupon_core::FailReason;
use coupon_loadgen::load::{GrabOutcome, GrabRecord, Outcome, Refusal, StepOutcome, StepRecord};
use coupon_loadgen::workload::{Endpoint, order_of};

/// The acknowledgement that a grab's client got.
#[must_use]
pub fn ack(grab: &GrabRecord) -> Ack {
    let claim = match grab.outcome {
        GrabOutcome::Granted { result_id } => GrabClaim::Granted(result_id),
        GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate)) => GrabClaim::Held(grab.held),
        GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock)) => GrabClaim::SoldOut,
        GrabOutcome::Refused(Refusal::Decided(FailReason::InvalidTime)) => {
            GrabClaim::InvalidTime(Some(grab.told_at))
        }
        GrabOutcome::Refused(Refusal::Status(_)) => GrabClaim::Refused,
        GrabOutcome::Unknown(_) => GrabClaim::Unknown,
    };
    Ack { user: grab.user_id, told: ClientAnswer::Grab(grab.coupon_id, claim), told_at: grab.told_at }
}

/// The acknowledgement that a step's client got; none of one that was refused, which leaves the result as it was.
#[must_use]
pub fn of_step(step: &StepRecord) -> Option<Ack> {
    let StepRecord { user_id: user, result_id, endpoint, outcome, told_at } = *step;
    let cents = order_of(result_id).cents();
    let (taken, unknown) = match endpoint {
        Endpoint::Use => {
            let told = match outcome {
                StepOutcome::Taken => UseAnswer::Used { cents, time: None },
                StepOutcome::Unknown => UseAnswer::Unknown { cents },
                StepOutcome::Refused(_) => return None,
            };
            return Some(Ack { user, told: ClientAnswer::Use(result_id, told), told_at });
        }
        Endpoint::Confirm => (StepAnswer::Confirmed, StepAnswer::ConfirmUnknown),
        Endpoint::Return => (StepAnswer::Returned, StepAnswer::ReturnUnknown),
        _ => (StepAnswer::Released, StepAnswer::ReleaseUnknown),
    };
    let told = match outcome {
        StepOutcome::Taken => taken,
        StepOutcome::Unknown => unknown,
        StepOutcome::Refused(_) => return None,
    };
    Some(Ack { user, told: ClientAnswer::Step(result_id, told), told_at })
}

/// Every acknowledgement of a load.
pub fn of(outcome: &Outcome) -> impl Iterator<Item = Ack> {
    outcome.grabs.iter().map(ack).chain(outcome.steps.iter().filter_map(of_step))
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
