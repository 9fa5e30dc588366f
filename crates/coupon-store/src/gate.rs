//! Stock and one-per-user, decided atomically.

use coupon_core::{CouponId, ResultId, UserId};

use super::{LocalFuture, Unavailable};

/// One wish to reserve a coupon, fixed before the gate decides: asking again repeats it exactly.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The user who wants it.
    pub user: UserId,
    /// The coupon.
    pub coupon: CouponId,
    /// The id the result will have; the grab's time is within.
    pub id: ResultId,
}

/// The gate's decision about one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Reserved under the attempt's own id, pending until it is stored.
    Granted,
    /// Reserved before under this id, which is not yet known to be stored: hand that over again.
    Pending(ResultId),
    /// Stored before, under this id.
    Duplicate(ResultId),
    /// None left.
    OutOfStock,
    /// Outside the window, or withdrawn.
    InvalidTime,
    /// The coupon is not in the gate: never taken for "sold out".
    NotLoaded,
    /// Reserved before under an id that contradicts what is stored: a person must decide.
    Parked,
}

/// The gate's count of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
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

/// Stock and one-per-user, decided atomically.
pub trait Gate: Send + Sync {
    /// Decides every attempt, in order. An error means that none is known to be decided.
    fn reserve<'a>(&'a self, attempts: &'a [Attempt]) -> LocalFuture<'a, Result<Decided, Unavailable>>;

    /// Says whether it decides anything for now; answered from memory.
    ///
    /// # Errors
    /// [`Unavailable`] when it does not.
    fn ready(&self) -> Result<(), Unavailable>;

    /// The epoch in which it decides now; `None` when it decides nothing. Answered from memory.
    fn epoch(&self) -> Option<u64>;

    /// All holders of a coupon that is sold out, and the epoch in which they hold it; `None` when it is not, or
    /// cannot be found out. Within that epoch they stay the same.
    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>>;

    /// Counts a coupon's stock; `None` for a coupon it does not hold.
    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<Stock>, Unavailable>>;

    /// Asks whether a result of that id is reserved and not known to be stored. `None` where no client gets a result
    /// before it is stored.
    fn pending(&self, id: ResultId) -> Option<LocalFuture<'_, Result<bool, Unavailable>>> {
        let _ = id;
        None
    }
}
