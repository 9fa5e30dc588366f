//! The evidence on rows before a key of theirs is judged, wherever they are from.

use std::borrow::Cow;
use std::ops::Range;

use coupon_core::SLOTS;

use super::Share;
use super::order::{Ordered, Row};
use super::sampled::{Sampled, slot};
use crate::replay::KeyColumns;

/// The evidence on a key's rows.
#[derive(Debug)]
pub(super) struct Evidence<'s> {
    pub(super) key: KeyColumns,
    /// The rows that have a value for it, that lack one, and whose value is too long to be kept.
    pub(super) rows: u64,
    pub(super) without: u64,
    pub(super) too_long: u64,
    /// The number of different values, and its bounds.
    pub(super) values: f64,
    pub(super) values_between: (f64, f64),
    /// The most frequent values.
    pub(super) top: Vec<Share>,
    /// The most that their shares may be off.
    pub(super) margin: Option<f64>,
    /// Rows by the hash's slot.
    pub(super) slots: Cow<'s, [u64]>,
    pub(super) sample: Cow<'s, [Sampled]>,
    /// The busiest stretch of the time; none without times.
    pub(super) busiest: Option<Stretch>,
    /// The busiest second; none where it cannot be known.
    pub(super) second: Option<Second>,
    pub(super) queries: Vec<Query>,
}

/// A stretch of the time.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) moments: Range<i64>,
    /// Its rows by the hash's slot, where all of them were counted and not those of the sample alone.
    pub(super) slots: Option<Vec<u64>>,
}

impl Stretch {
    /// Its rows in a sample; those without a time are in none.
    pub(super) fn rows<'s>(&self, ordered: &Ordered<'s>) -> Vec<Row<'s>> {
        ordered.timed().filter(|row| self.moments.contains(&row.of.moment)).copied().collect()
    }
}

/// The rows of one second.
#[derive(Debug)]
pub(super) struct Second {
    /// The second, since 1970.
    pub(super) second: i64,
    /// The number of its rows.
    pub(super) rows: u64,
    /// The hash of each row's value; of a part of the rows, if that is all there is.
    pub(super) hashes: Vec<u64>,
}

/// Queries of one kind.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) name: String,
    /// True for each column of the key that they give a value for.
    pub(super) gives: Vec<bool>,
}

/// Rows by the slots of their hashes.
pub(super) fn by_slot(hashes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut rows = vec![0; usize::from(SLOTS)];
    for hash in hashes {
        if let Some(rows) = rows.get_mut(usize::from(slot(hash))) {
            *rows += 1;
        }
    }
    rows
}
