//! Stock and one-per-user, decided atomically.

use coupon_core::{
    CouponId, CouponResult, GateCount, RequestKey, ResultId, ResultState, RoomId, Timestamp, UserId,
    VersionNumber,
};

use super::{LocalFuture, Unavailable};

/// The time for which a request is remembered after its result gave its stock back, in milliseconds.
pub const REMEMBERED_MS: i64 = 3_600_000;

/// One wish to reserve a coupon, fixed before the gate decides: asking again repeats it exactly.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The user who wants it.
    pub user: UserId,
    /// The coupon.
    pub coupon: CouponId,
    /// The id the result will have; the grab's time is within.
    pub id: ResultId,
    /// The number of live results of the coupon that a user may have.
    pub limit: u8,
    /// The moment until which the result will be held, unless the grab is final.
    pub hold_until: Option<Timestamp>,
    /// The request that the caller names, if any.
    pub request: Option<RequestKey>,
}

impl Attempt {
    /// A grab that is final, of a coupon that each user gets one of, without a named request.
    #[must_use]
    pub const fn plain(user: UserId, coupon: CouponId, id: ResultId) -> Self {
        Self { user, coupon, id, limit: 1, hold_until: None, request: None }
    }

    /// The reservation that the gate makes when it grants it in that slot.
    #[must_use]
    pub const fn reservation(&self, slot: u8) -> Reservation {
        Reservation { id: self.id, slot, hold_until: self.hold_until, request: self.request }
    }
}

/// A user's place at the gate: the result that was granted, in every respect that its row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The result's id.
    pub id: ResultId,
    /// Its number among the user's live results of the coupon.
    pub slot: u8,
    /// The moment until which it is held, unless the grab was final.
    pub hold_until: Option<Timestamp>,
    /// The request that it answers, if the caller named one.
    pub request: Option<RequestKey>,
}

/// The grant of a request, as far as its answer says it: that much is known as well once the result has given its slot back,
/// which may be another's by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The result's id.
    pub id: ResultId,
    /// The moment until which it is or was held, unless the grab was final.
    pub hold_until: Option<Timestamp>,
}

impl Grant {
    /// The state that its row began with.
    #[must_use]
    pub const fn state(&self) -> ResultState {
        if self.hold_until.is_some() { ResultState::Held } else { ResultState::Owned }
    }
}

impl Reservation {
    /// A final grab without a named request, in the first slot.
    #[must_use]
    pub const fn plain(id: ResultId) -> Self {
        Self { id, slot: 0, hold_until: None, request: None }
    }

    /// The reservation that became a row. One that has given its slot back has none any more: of it the [`Grant`] counts.
    #[must_use]
    pub fn of(result: &CouponResult) -> Self {
        let CouponResult { result_id: id, slot, hold_until, request, .. } = *result;
        Self { id, slot: slot.unwrap_or(0), hold_until, request }
    }

    /// The grant of its request.
    #[must_use]
    pub const fn grant(&self) -> Grant {
        Grant { id: self.id, hold_until: self.hold_until }
    }

    /// The state that its row begins with.
    #[must_use]
    pub const fn state(&self) -> ResultState {
        self.grant().state()
    }

    /// The fresh row that it becomes.
    #[must_use]
    pub const fn result(self, user: UserId, coupon: CouponId, room: RoomId) -> CouponResult {
        let state = self.state();
        let Self { id, slot, hold_until, request } = self;
        let granted = CouponResult::granted(id, user, coupon, room);
        CouponResult { state, slot: Some(slot), hold_until, request, ..granted }
    }
}

/// The gate's decision about one attempt.
///
/// A slot that carries the attempt's own request is the first thing that counts: it is [`Self::Pending`] or
/// [`Self::Repeated`], whatever the window and the stock by now. Otherwise the lowest free slot below the limit is granted.
/// With no slot free, the user's lowest decides: [`Self::Pending`] or [`Self::Duplicate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Reserved under the attempt's own id in this slot, pending until it is stored.
    Granted(u8),
    /// Reserved before, and not yet known to be stored: hand exactly this over again. Where it answers another request
    /// than the attempt's, the user has no slot left: once it is stored, the attempt is a duplicate.
    Pending(Reservation),
    /// The same request, asked before and stored, or released within the last hour: the same answer as the first time.
    Repeated(Grant),
    /// The user has no slot left; the lowest is stored under this id.
    Duplicate(ResultId),
    /// None left.
    OutOfStock,
    /// Outside the window, or withdrawn.
    InvalidTime,
    /// The coupon is not in the gate: never taken for "sold out".
    NotLoaded,
    /// A version of the layout places it that the asking process does not know: nothing is decided before it does.
    OtherLayout,
    /// Reserved before under an id that contradicts what is stored: a person must decide.
    Parked,
}

/// The gate's count of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateStock {
    /// The number there ever were.
    pub total: u32,
    /// The number held.
    pub sold: u32,
}

/// The gate's decisions about a batch, and the life of the gate in which it made them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// About each attempt, in order.
    pub decisions: Vec<Decision>,
    /// The gate's epoch. What it granted may be handed over in this epoch only: a gate that lost its memory and was
    /// filled anew has no record of it.
    pub epoch: u64,
}

/// Stock and one-per-user, decided atomically: by one gate, or by several that decide each its own coupons.
pub trait Gate: Send + Sync {
    /// The number of gates.
    fn count(&self) -> GateCount {
        GateCount::ONE
    }

    /// Decides every attempt, in order, of a caller that knows of no later version of the layout than that. All are about coupons
    /// of one gate. An error means that none is known to be decided.
    fn reserve<'a>(
        &'a self,
        knows: VersionNumber,
        attempts: &'a [Attempt],
    ) -> LocalFuture<'a, Result<Decided, Unavailable>>;

    /// Says whether it decides anything for now, one gate of several at least; answered from memory.
    ///
    /// # Errors
    /// [`Unavailable`] when it does not.
    fn ready(&self) -> Result<(), Unavailable>;

    /// The epoch in which grabs of a coupon are decided now; `None` when none is, or may have been decided by what is not so any
    /// more. Answered from memory.
    fn epoch(&self, coupon: CouponId) -> Option<u64>;

    /// The holders of a coupon that is sold out, who alone may get another answer than "sold out", and the epoch in which that is
    /// so. `None` when it is not sold out, or cannot be found out. Stock that comes back makes it untrue: a caller
    /// that remembers this must not do so for longer than a second.
    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>>;

    /// Counts a coupon's stock; `None` for a coupon it does not hold.
    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<GateStock>, Unavailable>>;

    /// Asks whether a result of that id is reserved and not known to be stored. `None` where no client gets a result
    /// before it is stored.
    fn pending(&self, id: ResultId) -> Option<LocalFuture<'_, Result<bool, Unavailable>>> {
        let _ = id;
        None
    }
}
