//! Users, rooms and coupons.

use coupon_core::{Coupon, CouponDetails, CouponId, GrabTerms, RoomId};

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

/// Users, rooms and coupons.
pub trait Catalogue: Send + Sync {
    /// The part that every grab needs, in memory.
    fn known(&self) -> &Known;

    /// A coupon, with its wide half if asked for.
    fn coupon(
        &self,
        coupon: CouponId,
        details: bool,
    ) -> LocalFuture<'_, Result<Option<CouponAndDetails>, Unavailable>>;

    /// A room's coupons above `after`, by id, at most `limit`.
    fn room_coupons(
        &self,
        room: RoomId,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>>;

    /// Outbox entries that the main database has not applied yet.
    fn lag_entries(&self) -> u64;

    /// Coupons whose row in the main database makes no sense: how many, and of the first of them what is wrong.
    fn set_aside(&self) -> (usize, Vec<(i64, String)>);
}
