//! The rows of the system, as every part of it sees them.

use serde::{Deserialize, Serialize};

use crate::{CouponId, Money, RequestKey, ResultId, ResultState, RoomId, RowKey, Timestamp, UserId};

/// A number in a database column that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} is no {what}, which is one of {}", listed(.known))]
pub struct UnknownCode {
    /// The column.
    pub what: &'static str,
    /// The number found there.
    pub code: i64,
    /// The numbers that stand for something.
    pub known: &'static [i64],
}

/// Numbers, with commas between them.
fn listed(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// An enum stored, and carried by JSON, as a small number.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub enum $name {
            $($(#[$vdoc])* $variant = $code),+
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> i64 {
                value.code()
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $crate::UnknownCode;

            fn try_from(code: i64) -> Result<Self, $crate::UnknownCode> {
                Self::from_code(code)
            }
        }

        impl $name {
            /// The number that databases store.
            #[must_use]
            pub const fn code(self) -> i64 {
                self as i64
            }

            /// Reads the number back.
            ///
            /// # Errors
            /// [`UnknownCode`](crate::UnknownCode) for a number that stands for nothing.
            pub fn from_code(code: i64) -> Result<Self, $crate::UnknownCode> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownCode { what: $what, code, known: &[$($code),+] }),
                }
            }
        }
    };
}

pub(crate) use code;

code!(
    /// The rank of a user.
    UserLevel, "user_level" {
        /// Everyone else.
        Normal = 1,
        /// A good customer.
        Vip = 2,
        /// One of the best.
        Svip = 3,
    }
);
code!(
    /// The stage of a live room's life.
    RoomStatus, "room_status" {
        /// Announced.
        NotStarted = 0,
        /// On air.
        Live = 1,
        /// Over.
        Ended = 2,
    }
);
code!(
    /// The kind of discount that a coupon gives.
    CouponKind, "coupon_type" {
        /// An amount off, above a minimum purchase.
        AmountOff = 1,
        /// A percentage off.
        Percentage = 2,
        /// An amount off, whatever is bought.
        NoThreshold = 3,
    }
);
code!(
    /// The state of a coupon's offer.
    CouponStatus, "status" {
        /// Withdrawn, or over.
        Inactive = 0,
        /// On offer, within its window.
        Active = 1,
    }
);
code!(
    /// The operation that changed a coupon's stock.
    StockOperation, "operation_type" {
        /// The stock it started with.
        Initialise = 1,
        /// Grabs that were stored.
        Deduct = 2,
        /// Stock given back.
        RollBack = 3,
    }
);
code!(
    /// The outcome of a grab.
    GrabStatus, "grab_status" {
        /// It did not.
        Failed = 0,
        /// It did.
        Granted = 1,
    }
);
code!(
    /// The use of a grabbed coupon: spent or not.
    UseStatus, "use_status" {
        /// Not yet.
        Unused = 0,
        /// Spent on an order.
        Used = 1,
    }
);

/// The reason why a grab that was decided did not get the coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// None are left.
    OutOfStock,
    /// The user holds one already.
    Duplicate,
    /// Outside the coupon's window, or it has been withdrawn.
    InvalidTime,
}

impl FailReason {
    /// The word that databases and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::Duplicate => "duplicate",
            Self::InvalidTime => "invalid_time",
        }
    }
}

/// A viewer. Main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `users`, described in schema/")]
pub struct User {
    pub user_id: UserId,
    pub username: String,
    pub phone: String,
    pub email: String,
    pub register_time: Timestamp,
    pub last_login: Option<Timestamp>,
    pub user_level: UserLevel,
    pub is_active: bool,
}

/// A live room. Main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `live_rooms`, described in schema/")]
pub struct LiveRoom {
    pub room_id: RoomId,
    pub room_name: String,
    pub anchor_id: u64,
    pub room_status: RoomStatus,
    pub viewer_count: u64,
    pub start_time: Timestamp,
    pub end_time: Option<Timestamp>,
    pub create_time: Timestamp,
    pub is_hot: bool,
}

/// The narrow, hot half of a coupon: what a grab and a listing need. Main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `coupons`, described in schema/")]
pub struct Coupon {
    pub coupon_id: CouponId,
    pub room_id: RoomId,
    pub coupon_name: String,
    pub coupon_type: CouponKind,
    pub discount_amount: Option<Money>,
    /// Part of the price taken off, in percent.
    pub discount_rate: Option<u8>,
    pub min_purchase: Money,
    pub total_stock: u32,
    /// Trails the grabs by the consumer's lag; the stock endpoint asks the gate.
    pub remaining_stock: u32,
    /// The number of results that take stock; more than the total where that was made smaller than what was sold. Trails as well.
    pub sold: u32,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub status: CouponStatus,
    pub terms: GrabTerms,
}

/// The terms on which a coupon can be grabbed, but for its stock and window. By default a grab is final, and each user
/// gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrabTerms {
    /// The seconds for which a grab is held, to be confirmed; 0: it is the user's at once.
    pub hold_s: u32,
    /// The number of results that take stock which one user may have at a time, from 1 to [`Self::USER_LIMIT_MAX`].
    pub user_limit: u8,
    /// True if users may hand back what they own.
    pub returnable: bool,
}

impl GrabTerms {
    /// The longest that a grab can be held, in seconds: thirty days.
    pub const HOLD_S_MAX: u32 = 2_592_000;
    /// The most results of one coupon that one user may have at a time.
    pub const USER_LIMIT_MAX: u8 = 100;

    /// The moment until which a grab of that time is held; `None` where it is final.
    #[must_use]
    pub const fn hold_until(self, grabbed: Timestamp) -> Option<Timestamp> {
        if self.hold_s == 0 { None } else { Some(grabbed.plus_millis(self.hold_s as i64 * 1_000)) }
    }

    /// True if a grab must name its request: without, one that is asked for again would be another.
    #[must_use]
    pub const fn need_request(self) -> bool {
        self.hold_s > 0 || self.user_limit > 1
    }
}

impl Default for GrabTerms {
    fn default() -> Self {
        Self { hold_s: 0, user_limit: 1, returnable: false }
    }
}

/// The wide, cold half of a coupon: a few KB that only a detail page reads. Main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `coupon_details`, described in schema/")]
pub struct CouponDetails {
    pub coupon_id: CouponId,
    pub description: String,
    pub usage_rules: String,
    /// A JSON document.
    pub product_range: String,
}

/// One change of a coupon's stock. Main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `stock_logs`, described in schema/")]
pub struct StockLog {
    pub log_id: i64,
    pub coupon_id: CouponId,
    pub operation_type: StockOperation,
    pub stock_before: u32,
    pub stock_after: u32,
    pub operator: String,
    /// The shard whose outbox caused it, if one did.
    pub shard: Option<u16>,
    /// The last outbox entry it covers, if it came from one.
    pub outbox_id: Option<i64>,
    pub create_time: Timestamp,
}

/// A stored grab. Shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of `coupon_results`, described in schema/")]
pub struct CouponResult {
    pub result_id: ResultId,
    pub user_id: UserId,
    pub coupon_id: CouponId,
    pub room_id: RoomId,
    pub grab_status: GrabStatus,
    pub fail_reason: Option<FailReason>,
    /// Exactly [`ResultId::time`].
    pub grab_time: Timestamp,
    pub use_status: UseStatus,
    pub use_time: Option<Timestamp>,
    pub order_amount: Option<Money>,
    pub state: ResultState,
    /// Its number among the user's live results of the coupon; none once its stock was given back.
    pub slot: Option<u8>,
    /// The moment until which it was, or is, held; none if it was the user's at once.
    pub hold_until: Option<Timestamp>,
    /// The request that it answers.
    pub request: Option<RequestKey>,
    /// The time at which its state last changed; none while it is as it was stored.
    pub state_time: Option<Timestamp>,
}

impl CouponResult {
    /// The result of a grab that got its coupon and has not been spent.
    #[must_use]
    pub const fn granted(result_id: ResultId, user_id: UserId, coupon_id: CouponId, room_id: RoomId) -> Self {
        Self {
            result_id,
            user_id,
            coupon_id,
            room_id,
            grab_status: GrabStatus::Granted,
            fail_reason: None,
            grab_time: result_id.time(),
            use_status: UseStatus::Unused,
            use_time: None,
            order_amount: None,
            state: ResultState::Owned,
            slot: Some(0),
            hold_until: None,
            request: None,
            state_time: None,
        }
    }

    /// The part of a row that strategies look at.
    #[must_use]
    pub const fn key(&self) -> RowKey {
        RowKey { user: self.user_id, room: self.room_id, time: self.grab_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_a_round_trip_and_unknown_ones_are_named() {
        for level in [UserLevel::Normal, UserLevel::Vip, UserLevel::Svip] {
            assert_eq!(UserLevel::from_code(level.code()), Ok(level));
        }
        let error = UserLevel::from_code(9).unwrap_err();
        assert_eq!(error.to_string(), "9 is no user_level, which is one of 1, 2, 3");
    }

    #[test]
    fn a_result_is_dated_by_its_id() {
        let time = "2026-11-22T23:59:59.999Z".parse().unwrap();
        let id = ResultId::from_parts(time, 1, 2).unwrap();
        let (user, coupon, room) = (UserId::new(1), CouponId::new(2), RoomId::new(3));
        assert_eq!(CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap()).grab_time, time);
    }
}
