//! The record of changes: who changed what, and what it was before.

use std::fmt;

use super::Refused;
use super::check::holds;
use crate::books::WORDS;
use crate::{CouponId, CouponStatus, Money, RoomId, Timestamp};

/// The longest text that the record has of a change, in characters.
const WHAT_MAX: usize = 1_000;

/// The name of the operator who makes a change, as logs show it: from 1 to 64 characters that can be seen. The words by which the
/// stock log names movements of rows are no operator's name.
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
        holds(field, !WORDS.contains(&name), || {
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
    /// The name of the operator who made it.
    pub operator: String,
    /// The change, in words.
    pub what: String,
    /// The coupon that it was about, if any.
    pub coupon: Option<CouponId>,
    /// The room that it was about, if any.
    pub room: Option<RoomId>,
}

/// The terms that decide the grabs of a coupon, as a line of `catalogue_changes` keeps them of the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are columns of `coupons`, described in schema/")]
pub struct OnOffer {
    pub total_stock: i64,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub status: CouponStatus,
    pub user_limit: u8,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnValue {
    /// A whole number.
    Number(i64),
    /// An amount.
    Amount(Money),
    /// Text.
    Text(String),
}

/// The differences that a change makes: in words that fit into the record, and as columns of `coupons`.
#[derive(Debug, Default)]
pub(super) struct Differences {
    words: Vec<String>,
    pub(super) columns: Vec<(&'static str, ColumnValue)>,
}

impl Differences {
    /// Gives a field another value, if it has another.
    pub(super) fn set<T: PartialEq + Clone>(
        &mut self,
        name: &'static str,
        field: &mut T,
        wanted: Option<&T>,
        shown: impl Fn(&T) -> (String, ColumnValue),
    ) {
        let Some(wanted) = wanted.filter(|wanted| *wanted != field) else { return };
        let ((before, _), (after, value)) = (shown(field), shown(wanted));
        self.words.push(format!("{name} {before} → {after}"));
        self.columns.push((name, value));
        field.clone_from(wanted);
    }

    /// Gives a text of the wide half, which is too long to be shown, another value, if it has another.
    pub(super) fn set_long(&mut self, name: &str, field: &mut String, wanted: Option<&String>) {
        let Some(wanted) = wanted.filter(|wanted| *wanted != field) else { return };
        self.words.push(format!("{name} changed"));
        field.clone_from(wanted);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn words(&self) -> String {
        shortened(self.words.join("; "))
    }
}

/// Text that is no longer than the record's column.
fn shortened(text: String) -> String {
    match text.char_indices().nth(WHAT_MAX) {
        None => text,
        Some(_) => text.chars().take(WHAT_MAX - 1).chain(['…']).collect(),
    }
}
