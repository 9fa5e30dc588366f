//! Users, rooms and coupons.

use std::sync::Arc;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator, Refused};
use coupon_core::{Coupon, CouponDetails, CouponId, GrabTerms, RoomId, UserId};

use super::{Known, LocalFuture, Unavailable};

/// A coupon, and its wide half if that was asked for.
pub type CouponAndDetails = (Coupon, Option<CouponDetails>);

/// A coupon that is known, as far as a grab needs it before the gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// The room of its results.
    pub room: RoomId,
    /// The terms of a grab.
    pub terms: GrabTerms,
}

/// The catalogue's answer about a coupon before the gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The coupon exists, and belongs to this room.
    InRoom(Offered),
    /// There is no such coupon.
    UnknownCoupon,
    /// There is no such user.
    UnknownUser,
    /// The user exists, and may not grab.
    InactiveUser,
}

/// A change that main has, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The version that main's catalogue has with it.
    pub version: u64,
    /// False if it was so already, and nothing was written.
    pub changed: bool,
    /// The number of users that it added.
    pub added: usize,
    /// Processes that live and had not confirmed the version when they were no longer waited for: they may go by what was
    /// before for a little longer.
    pub unconfirmed: Vec<String>,
    /// True if the gate enforces it; false while the gate is shut, which will be filled with it.
    pub gate: bool,
}

/// The reason why there is no [`Applied`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is not made, and nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It may be made or not; asking again is safe, and finds out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Users, rooms and coupons.
pub trait Catalogue: Send + Sync {
    /// The part that grabs need, in memory, as it is now.
    fn known(&self) -> Arc<Known>;

    /// The answer about a coupon that a user asks for, by what is known now. A backend that serves grabs has it from a copy of
    /// each thread's own, so that threads share no lock.
    fn offer(&self, user: UserId, coupon: CouponId) -> Offer {
        self.known().offer(user, coupon)
    }

    /// The version of the catalogue that this process works by, from memory.
    fn version(&self) -> u64;

    /// Makes a change, in one transaction of main, and answers once every process that lives goes by it, or has been waited
    /// for. From then on no grab is decided by what was before. Asked for again, it answers alike and changes nothing.
    fn change(
        &self,
        change: CatalogueChange,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Applied, ChangeError>>;

    /// The latest changes, the last first, so many at most.
    fn changes(&self, limit: usize) -> LocalFuture<'_, Result<Vec<ChangeRecord>, Unavailable>>;

    /// A coupon, with its wide half if asked for.
    fn coupon(
        &self,
        coupon: CouponId,
        details: bool,
    ) -> LocalFuture<'_, Result<Option<CouponAndDetails>, Unavailable>>;

    /// The coupons of a room, or of all, above `after`, by id, at most `limit`.
    fn coupons(
        &self,
        room: Option<RoomId>,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>>;

    /// Outbox entries that the main database has not applied yet.
    fn lag_entries(&self) -> u64;

    /// Coupons whose row in the main database makes no sense: how many, and of the first of them what is wrong.
    fn set_aside(&self) -> (usize, Vec<(i64, String)>);
}
