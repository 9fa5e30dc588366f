//! The entries of a shard's outbox: what they say to main, and how they are numbered.

use std::collections::BTreeMap;

use coupon_core::CouponId;
use coupon_core::books::{Moved, Movement};

use super::seam::OutboxEntry;

/// The most movements of one entry: a TEXT holds so many even of the largest numbers.
const ENTRY: usize = 1_500;

/// The number of rows of each coupon that moved in each way.
pub(super) type Moves = BTreeMap<(CouponId, Movement), i64>;

/// The next entries after the last: one, unless the movements are too many for one, or there are none.
pub(super) fn entries(moves: &Moves, last: i64) -> Vec<OutboxEntry> {
    let moved: Vec<Moved> = moves
        .iter()
        .map(|((coupon, movement), rows)| Moved { coupon: *coupon, movement: *movement, rows: *rows })
        .collect();
    let entry = |(id, moved): (i64, &[Moved])| OutboxEntry {
        id,
        // Numbers and words of ours: nothing of it cannot be written.
        deltas: serde_json::to_string(moved).unwrap_or_default(),
    };
    (last + 1..).zip(moved.chunks(ENTRY)).map(entry).collect()
}

/// Adds rows that were stored; says how many they are.
pub(super) fn add_stored(moves: &mut Moves, stored: Vec<(CouponId, i64)>) -> u64 {
    let rows = stored.iter().map(|(_, rows)| rows.unsigned_abs()).sum();
    for (coupon, rows) in stored {
        *moves.entry((coupon, Movement::Stored)).or_default() += rows;
    }
    rows
}

/// The last entry, once these are written.
pub(super) fn last_of(entries: &[OutboxEntry], before: i64) -> i64 {
    entries.last().map_or(before, |entry| entry.id)
}

#[cfg(test)]
mod tests {
    use coupon_core::MAX_ID;

    use super::*;

    /// The size of a TEXT.
    const TEXT: usize = 65_535;

    fn moved(coupons: u64, movement: Movement) -> Moves {
        (0..coupons).map(|less| ((CouponId::new(MAX_ID - less).unwrap(), movement), 9_999)).collect()
    }

    #[test]
    fn entries_are_numbered_without_gaps_and_none_is_too_long() {
        for movement in [Movement::Stored, Movement::Released] {
            let entries = entries(&moved(4_000, movement), 41);
            assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [42, 43, 44]);
            assert_eq!(last_of(&entries, 41), 44);
            assert!(entries.iter().all(|entry| entry.deltas.len() <= TEXT));
            assert_eq!(
                entries.iter().map(|entry| entry.deltas.matches(",9999").count()).sum::<usize>(),
                4_000
            );
        }
    }

    #[test]
    fn nothing_new_is_no_entry() {
        assert!(entries(&Moves::new(), 41).is_empty());
        assert_eq!(last_of(&[], 41), 41);
    }
}
