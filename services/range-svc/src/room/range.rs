//! One range of rooms, and the lists that ranges are given by.

use std::num::NonZeroU64;

use coupon_core::{RoomId, TableId};

use super::BoundaryError;

/// The range that a room falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomRange {
    /// The number that gives its shard: its own among the ranges, or the shard's.
    pub(super) number: u64,
    /// Its table.
    pub(super) table: TableId,
}

impl RoomRange {
    pub(super) const fn new(number: u64, first: RoomId, last: Option<RoomId>) -> Self {
        Self { number, table: TableId::Rooms { first, last } }
    }

    /// The range with that number, of those that are all so wide.
    pub(super) fn equal(number: u64, width: NonZeroU64) -> Option<Self> {
        let first = RoomId::new(number.checked_mul(width.get())? + 1).ok()?;
        // The last range of all may be cut short by the highest id there is.
        let last = RoomId::new(first.get().saturating_add(width.get() - 1)).ok();
        Some(Self::new(number, first, last))
    }
}

/// Checks that the first rooms of ranges ascend from 1.
pub(super) fn check_starts(starts: impl IntoIterator<Item = RoomId>) -> Result<(), BoundaryError> {
    let mut starts = starts.into_iter();
    let first = starts.next().ok_or(BoundaryError::Empty)?;
    if first.get() != 1 {
        return Err(BoundaryError::FirstIsNotOne(first.get()));
    }
    let mut previous = first;
    for next in starts {
        if next <= previous {
            return Err(BoundaryError::NotAscending { previous: previous.get(), next: next.get() });
        }
        previous = next;
    }
    Ok(())
}

/// Items with commas between them.
pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
