//! The evidence on rows before a key of theirs is judged, wherever they are from.

use std::borrow::Cow;
use std::ops::Range;

use coupon_core::SLOTS;

use super::Share;
use super::order::{Ordered, Row};
use crate::replay::{KeyColumns, hash};

/// A row of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sampled {
    /// The columns' values, parted.
    pub(super) value: Box<str>,
    /// True if the row has a time.
    pub(super) timed: bool,
    /// Milliseconds, or the row's number where there is no time.
    pub(super) moment: i64,
    /// The place in the table that it was read at, with its neighbours.
    pub(super) place: u32,
}

impl Sampled {
    pub(super) fn slot(&self) -> u16 {
        slot(hash(&self.value))
    }
}

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

/// The slot of a hash.
pub(super) fn slot(hash: u64) -> u16 {
    u16::try_from(hash % u64::from(SLOTS)).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use coupon_core::{Mix, SlotTable};

    use super::*;

    #[test]
    fn numbers_have_the_slots_that_the_service_gives_them() {
        let table = SlotTable::new(Mix::Xxh3, std::num::NonZeroU16::MIN);
        for number in [0, 1, 77, 1 << 52] {
            assert_eq!(slot(hash(&number.to_string())), table.slot(number));
        }
        assert_ne!(slot(hash("a")), slot(hash("b")));
    }
}
