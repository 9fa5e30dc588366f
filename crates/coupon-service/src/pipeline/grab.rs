//! Grabs, and the decisions on them.

use coupon_core::{CouponId, GrabTerms, RequestKey, ResultId, RoomId, RouteError, UserId};
use coupon_store::{Attempt, Grant, Reservation, Unavailable};
use tokio::sync::oneshot;

use crate::telemetry::traces::Traced;

/// A grab that names a user and a coupon which exist, with what is known of the coupon.
#[derive(Debug, Clone, Copy)]
pub struct Grab {
    /// The user who wants it.
    pub user: UserId,
    /// The coupon wanted.
    pub coupon: CouponId,
    /// The coupon's room.
    pub room: RoomId,
    /// The terms of the coupon.
    pub terms: GrabTerms,
    /// The request, if the caller names it.
    pub request: Option<RequestKey>,
}

impl Grab {
    /// The attempt that the gate is asked to decide, once the grab has an id.
    pub(super) const fn attempt(&self, id: ResultId) -> Attempt {
        let Self { user, coupon, terms, request, .. } = *self;
        Attempt {
            user,
            coupon,
            id,
            limit: terms.user_limit,
            hold_until: terms.hold_until(id.time()),
            request,
        }
    }
}

/// The decision on a grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrabDecision {
    /// Stored.
    Granted(Reservation),
    /// This very request was granted and stored before, whatever became of the result since.
    Repeated(Grant),
    /// The user has as many as one may; the first of them is stored under this id.
    Duplicate(ResultId),
    /// None left.
    OutOfStock,
    /// Outside the window, or withdrawn.
    InvalidTime,
}

/// The reason why a grab was not decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDecided {
    /// The outcome is unknown, or the service is overloaded; asking again is safe, and finds out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The strategy has no place for the result; asking again never helps.
    #[error(transparent)]
    NoPlace(#[from] RouteError),
}

/// The way to answer a grab.
pub(super) type Reply = oneshot::Sender<Result<GrabDecision, NotDecided>>;

/// A grab that waits for its answer.
pub(super) struct Waiting {
    pub(super) grab: Grab,
    pub(super) reply: Reply,
    /// Only if its request is recorded.
    pub(super) traced: Option<Box<Traced>>,
}
