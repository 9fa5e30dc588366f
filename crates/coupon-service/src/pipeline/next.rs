//! From the gate's decision to what follows from it.

use coupon_store::{Attempt, Decision, Reservation, Unavailable};

use super::grab::{GrabDecision, NotDecided};

/// The step that follows the gate's decision about an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Hand exactly this over; once it is stored, that is the answer.
    HandOver(Reservation, GrabDecision),
    /// Answer at once.
    Answer(Result<GrabDecision, NotDecided>),
}

impl Next {
    pub(super) fn of(attempt: &Attempt, decision: Decision) -> Self {
        let unavailable = |what: &str, why: &str| Self::Answer(Err(Unavailable::new(what, why).into()));
        match decision {
            Decision::Granted(slot) => {
                let reserved = attempt.reservation(slot);
                Self::HandOver(reserved, GrabDecision::Granted(reserved))
            }
            Decision::Pending(reserved) if reserved.request == attempt.request => {
                Self::HandOver(reserved, GrabDecision::Granted(reserved))
            }
            // It answers another request, and leaves no room for this one.
            Decision::Pending(reserved) => Self::HandOver(reserved, GrabDecision::Duplicate(reserved.id)),
            Decision::Repeated(grant) => Self::Answer(Ok(GrabDecision::Repeated(grant))),
            Decision::Duplicate(id) => Self::Answer(Ok(GrabDecision::Duplicate(id))),
            Decision::OutOfStock => Self::Answer(Ok(GrabDecision::OutOfStock)),
            Decision::InvalidTime => Self::Answer(Ok(GrabDecision::InvalidTime)),
            Decision::Parked => unavailable("this result", "it contradicts what is stored, and is parked"),
            Decision::NotLoaded => unavailable("the gate", "it does not hold this coupon yet"),
            Decision::OtherLayout => unavailable("the layout", "it changes just now; ask again in a moment"),
        }
    }
}
