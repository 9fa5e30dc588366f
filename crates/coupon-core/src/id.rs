//! Identifiers that cannot be confused with each other, nor hold a value no database row could have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The highest user, room or coupon id: the largest integer every JSON reader holds exactly (2^53 − 1).
pub const MAX_ID: u64 = (1 << 53) - 1;

/// A number that cannot be an id of the kind named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be a whole number from 1 to {MAX_ID}, not {got}")]
pub struct IdError {
    /// The field that was wrong, as the API spells it.
    pub what: &'static str,
    got: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(u64);

        impl $name {
            /// Takes a number from 1 to [`MAX_ID`].
            ///
            /// # Errors
            /// [`IdError`] for zero or anything larger.
            pub fn new(id: u64) -> Result<Self, IdError> {
                if (1..=MAX_ID).contains(&id) {
                    Ok(Self(id))
                } else {
                    Err(IdError { what: $what, got: id.to_string() })
                }
            }

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = IdError;

            fn try_from(id: u64) -> Result<Self, IdError> {
                Self::new(id)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bad = || IdError { what: $what, got: format!("{:?}", text.chars().take(40).collect::<String>()) };
                text.parse::<u64>().map_err(|_| bad()).and_then(|id| Self::new(id).map_err(|_| bad()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A viewer who grabs coupons.
    UserId,
    "user_id"
);
id!(
    /// A live room that offers coupons.
    RoomId,
    "room_id"
);
id!(
    /// A coupon on offer; it belongs to exactly one room.
    CouponId,
    "coupon_id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_between_one_and_the_largest_safe_integer() {
        assert!(UserId::new(0).is_err());
        assert_eq!(UserId::new(1).unwrap().get(), 1);
        assert_eq!(UserId::new(MAX_ID).unwrap().get(), MAX_ID);
        assert!(UserId::new(MAX_ID + 1).is_err());
    }

    #[test]
    fn an_error_names_the_field_and_the_value() {
        let error = "-3".parse::<CouponId>().unwrap_err().to_string();
        assert!(error.contains("coupon_id") && error.contains("-3"), "{error}");
    }
}
