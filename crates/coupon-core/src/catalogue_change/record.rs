//! The record of changes: who changed what, and what it was before.

use std::fmt;

use super::Refused;
use super::check::holds;
use crate::books::{ARCHIVE, GRAB, Movement, REBUILD};
use crate::{CouponId, CouponStatus, RoomId, Timestamp};

/// The longest text that the record has of a change, in characters.
const WHAT_MAX: usize = 1_000;

/// The name of whoever makes a change, as logs show it: from 1 to 64 characters that can be seen. The words by which the
/// stock log tells of rows are nobody's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator(String);

impl Operator {
    /// The most characters of a name.
    pub const LONGEST: usize = 64;

    /// Takes a name.
    ///
    /// # Errors
    /// [`Refused::Invalid`] when it is empty, too long, not printable, or a word of the stock log's own.
    pub fn new(name: &str) -> Result<Self, Refused> {
        let field = "operator";
        let length = name.chars().take(Self::LONGEST + 1).count();
        holds(field, (1..=Self::LONGEST).contains(&length), || {
            format!("must have from 1 to {} characters", Self::LONGEST)
        })?;
        let printable = name.trim() == name && !name.chars().any(char::is_control);
        holds(field, printable, || "must be printable, without spaces around it".to_owned())?;
        let own = [GRAB, ARCHIVE, REBUILD, "seeder"].into_iter();
        let mut own = own.chain(Movement::GIVEN_BACK.into_iter().filter_map(Movement::word));
        holds(field, !own.any(|word| word == name), || {
            format!("must not be {name:?}, by which the stock log means something else")
        })?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line of `catalogue_changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// The version that the catalogue reached by it.
    pub version: u64,
    /// The time of it, by main's clock.
    pub time: Timestamp,
    /// The name of who made it.
    pub operator: String,
    /// What it was, in words.
    pub what: String,
    /// The coupon that it was about, if any.
    pub coupon: Option<CouponId>,
    /// The room that it was about, if any.
    pub room: Option<RoomId>,
}

/// What decides the grabs of a coupon, as a line of `catalogue_changes` keeps it of the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are columns of `coupons`, described in schema/")]
pub struct OnOffer {
    pub total_stock: i64,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub status: CouponStatus,
}

/// The differences of a change, in words that fit into the record.
#[derive(Debug, Default)]
pub(super) struct Differences(Vec<String>);

impl Differences {
    /// Takes note of a field that has another value from now on.
    pub(super) fn field<T: PartialEq + fmt::Display>(&mut self, name: &str, before: &T, after: &T) {
        if before != after {
            self.0.push(format!("{name} {before} → {after}"));
        }
    }

    /// Takes note of a field that is too long to be shown.
    pub(super) fn long(&mut self, name: &str, differs: bool) {
        if differs {
            self.0.push(format!("{name} changed"));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn words(self) -> String {
        shortened(self.0.join("; "))
    }
}

/// Text that is no longer than the record's column.
fn shortened(text: String) -> String {
    match text.char_indices().nth(WHAT_MAX) {
        None => text,
        Some(_) => text.chars().take(WHAT_MAX - 1).chain(['…']).collect(),
    }
}
