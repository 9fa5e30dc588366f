//! Answers that clients got, as the auditor takes them.

use coupon_audit::{Ack, Claim, Claims, ClientAnswer};
use coupon_core::FailReason;
use coupon_loadgen::load::{GrabOutcome, GrabRecord, Refusal};

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

/// Adds the answer to a grab to clients' claims.
pub fn claim(grab: &GrabRecord, claims: &mut Claims) {
    let Ack { user, told, .. } = ack(grab);
    claims.take(user, told);
}
