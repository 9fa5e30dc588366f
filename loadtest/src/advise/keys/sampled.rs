//! The rows of a sample.

use coupon_core::SLOTS;

use crate::replay::hash;

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

/// The slot of a hash.
pub(super) fn slot(hash: u64) -> u16 {
    u16::try_from(hash % u64::from(SLOTS)).unwrap_or_default()
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
