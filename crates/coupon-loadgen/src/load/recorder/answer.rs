//! Answers, as a client understands them.

use std::time::Duration;

use coupon_core::{FailReason, ResultId, ResultState};

use crate::http::{GrabAnswer, is_partial, plan_of};
use crate::load::outcome::{GrabOutcome, Refusal, Unknown};
use crate::workload::{CheckoutPart, Course, Endpoint, Request};

/// The shards and tables that an answer says its query visited.
pub(super) type Plan = Option<(u64, u64)>;

/// The plan of an answer to a read, or the kind of error that it counts as.
pub(super) fn read_answered(endpoint: Endpoint, status: u16, body: &[u8]) -> Result<Plan, String> {
    match status {
        200..300 if !endpoint.has_plan() => Ok(None),
        200..300 if is_partial(body) => Err("partial answer".to_owned()),
        200..300 => Ok(plan_of(body)),
        _ => Err(status.to_string()),
    }
}

/// The answer to a grab, as its client understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadAnswer {
    pub(super) outcome: GrabOutcome,
    /// The result that the user is said to hold already.
    pub(super) held: Option<i64>,
    /// The state that what was granted began with, if it is one that a user does something about.
    pub(super) state: Option<ResultState>,
}

impl ReadAnswer {
    pub(super) const fn plain(outcome: GrabOutcome) -> Self {
        Self { outcome, held: None, state: None }
    }

    /// A 4xx was turned away before the gate; anything else that is not a decision may have been granted.
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        let unreadable = Self::plain(GrabOutcome::Unknown(Unknown::Unreadable));
        match status {
            200 => Self::decided(body).unwrap_or(unreadable),
            400..500 => Self::plain(GrabOutcome::Refused(Refusal::Status(status))),
            _ => Self::plain(GrabOutcome::Unknown(Unknown::Status(status))),
        }
    }

    fn decided(body: &[u8]) -> Option<Self> {
        let answer = GrabAnswer::parse(body)?;
        let refused = |reason| Self::plain(GrabOutcome::Refused(Refusal::Decided(reason)));
        let id = || Some(answer.result_id?.parse::<ResultId>().ok()?.number());
        match (answer.grab_status, answer.fail_reason) {
            (1, _) => Some(Self {
                state: answer.state.and_then(|state| state.parse().ok()),
                ..Self::plain(GrabOutcome::Granted { result_id: id()? })
            }),
            (0, Some("out_of_stock")) => Some(refused(FailReason::OutOfStock)),
            (0, Some("duplicate")) => Some(Self { held: id(), ..refused(FailReason::Duplicate) }),
            (0, Some("invalid_time")) => Some(refused(FailReason::InvalidTime)),
            _ => None,
        }
    }

    /// The step that follows a grab of a checkout.
    pub(super) fn then(self, request: &Request) -> Option<Request> {
        let Some(CheckoutPart::Grab { course, pause, .. }) = request.part else { return None };
        let GrabOutcome::Granted { result_id } = self.outcome else { return None };
        step(request, result_id, (course, pause), self.state?)
    }
}

/// The step of a result in that state, for a client that asked for something before.
pub(super) fn step(
    before: &Request,
    result: i64,
    (course, pause): (Course, Duration),
    state: ResultState,
) -> Option<Request> {
    let endpoint = course.step(state)?;
    Some(Request { endpoint, part: Some(CheckoutPart::Step { result, course, pause }), ..*before })
}
