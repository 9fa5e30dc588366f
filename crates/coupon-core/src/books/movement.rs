//! The ways in which rows take stock and let go of it, and the form in which outboxes have them.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::CouponId;
use crate::model::code;

code!(
    /// The way in which rows took stock, or let go of it.
    #[derive(PartialOrd, Ord)]
    Movement, "movement" {
        /// They were stored, and took it.
        Stored = 0,
        /// They were live when they were taken away, and their stock with them.
        Retired = 1,
        /// They gave it back, released while they were held.
        Released = 2,
        /// They gave it back, returned after they were owned.
        Returned = 3,
        /// They gave it back, not confirmed in time.
        Expired = 4,
    }
);

impl Movement {
    /// The ways to give stock back.
    pub(crate) const GIVEN_BACK: [Self; 3] = [Self::Released, Self::Returned, Self::Expired];

    /// The word for a way to give stock back: in outboxes, and as the operator in stock logs.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Stored | Self::Retired => None,
            Self::Released => Some("release"),
            Self::Returned => Some("return"),
            Self::Expired => Some("expire"),
        }
    }

    /// The change of the number of live rows by so many rows that moved.
    #[must_use]
    pub const fn live(self, rows: i64) -> i64 {
        match self {
            Self::Stored => rows,
            Self::Retired | Self::Released | Self::Returned | Self::Expired => -rows,
        }
    }
}

/// Rows of one coupon that moved alike. As JSON `[coupon, rows]` when they were stored, `[coupon, -rows]` when they were
/// retired, `[coupon, rows, "release"]`, `"return"` or `"expire"` when they gave their stock back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The coupon.
    pub coupon: CouponId,
    /// The way in which they moved.
    pub movement: Movement,
    /// Their number.
    pub rows: i64,
}

impl Moved {
    /// Rows that were stored.
    #[must_use]
    pub const fn stored(coupon: CouponId, rows: i64) -> Self {
        Self { coupon, movement: Movement::Stored, rows }
    }

    /// Rows that were retired.
    #[must_use]
    pub const fn retired(coupon: CouponId, rows: i64) -> Self {
        Self { coupon, movement: Movement::Retired, rows }
    }
}

impl Serialize for Moved {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = self.movement.word();
        let mut parts = serializer.serialize_seq(Some(2 + usize::from(word.is_some())))?;
        parts.serialize_element(&self.coupon)?;
        match word {
            None => parts.serialize_element(&self.movement.live(self.rows))?,
            Some(word) => {
                parts.serialize_element(&self.rows)?;
                parts.serialize_element(word)?;
            }
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for Moved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Moved;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[coupon, rows] or [coupon, rows, how they gave their stock back]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Moved, A::Error> {
                let coupon = parts.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let rows: i64 = parts.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                let word: Option<std::borrow::Cow<'de, str>> = parts.next_element()?;
                let Some(word) = word else {
                    let movement = if rows < 0 { Movement::Retired } else { Movement::Stored };
                    return Ok(Moved { coupon, movement, rows: rows.saturating_abs() });
                };
                let known = Movement::GIVEN_BACK.into_iter().find(|known| known.word() == Some(&*word));
                let movement = known
                    .ok_or_else(|| A::Error::custom(format_args!("{word:?} is no way to give stock back")))?;
                if rows < 0 {
                    return Err(A::Error::custom("fewer rows than none gave their stock back"));
                }
                Ok(Moved { coupon, movement, rows })
            }
        }

        deserializer.deserialize_seq(Parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outbox_tells_is_read_as_it_was_written() {
        let text = r#"[[7,3],[7,-2],[7,1,"release"],[8,4,"return"],[9,5,"expire"]]"#;
        let moved: Vec<Moved> = serde_json::from_str(text).unwrap();
        let movements: Vec<Movement> = moved.iter().map(|moved| moved.movement).collect();
        assert_eq!(movements, [0, 1, 2, 3, 4].map(|code| Movement::from_code(code).unwrap()));
        assert_eq!(moved.iter().map(|moved| moved.rows).collect::<Vec<_>>(), [3, 2, 1, 4, 5]);
        assert_eq!(serde_json::to_string(&moved).unwrap(), text);
    }

    #[test]
    fn what_no_outbox_tells_is_refused() {
        for text in ["[7]", "[0,1]", r#"[7,1,"grab"]"#, r#"[7,-1,"release"]"#, "[7,1,2]", "7"] {
            assert!(serde_json::from_str::<Moved>(text).is_err(), "{text}");
        }
    }
}
