//! The parts of a table that are read: ranges of its primary key of equal width, one from each of as many equal strata.

use coupon_measure::Random;

/// Rows that a block has on average: enough that a question is worth its round trip, and few enough that the server is
/// free again at once.
const ROWS: u64 = 500;
/// Apart from the streams of requests, rounds, moments, queries and samples.
const BLOCKS: u64 = 1 << 57;

/// A range of the primary key: from the first number to just before the second.
pub(super) type Block = (i128, i128);

/// The blocks to read, in order, so that about as many rows as are wanted are in them. Where the table has no more, all of
/// it.
pub(super) fn blocks(least: i128, greatest: i128, rows: u64, wanted: u64, seed: u64) -> Vec<Block> {
    let values = (greatest - least + 1).max(1);
    let there = i128::from(rows.div_ceil(ROWS).max(1)).min(values);
    let read = i128::from(wanted.div_ceil(ROWS).max(1)).min(there);
    let all = read == there || wanted >= rows;
    let read = if all { there } else { read };
    let mut random = Random::new(seed, BLOCKS);
    let mut block = |number: i128| {
        // The blocks of this stratum, of which one is drawn.
        let (from, to) = (there * number / read, there * (number + 1) / read);
        let width = u64::try_from(to - from).unwrap_or(u64::MAX);
        let at = from + i128::from(random.below(width));
        (least + values * at / there, least + values * (at + 1) / there)
    };
    (0..read).map(&mut block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_table_is_read_as_a_whole_and_without_a_gap() {
        let found = blocks(5, 2_004, 2_000, 10_000, 1);
        assert_eq!((found.first().unwrap().0, found.last().unwrap().1, found.len()), (5, 2_005, 4));
        assert!(found.windows(2).all(|pair| pair[0].1 == pair[1].0), "{found:?}");
        assert_eq!(blocks(7, 7, 1, 100, 1), [(7, 8)]);
        assert_eq!(blocks(0, 1, 1_000_000, 1_000_000, 1), [(0, 1), (1, 2)]);
    }

    #[test]
    fn of_a_large_table_as_many_rows_as_are_wanted_are_read_all_over_it() {
        let (least, greatest) = (-1_000_000, 8_999_999);
        let found = blocks(least, greatest, 10_000_000, 200_000, 1);
        assert_eq!(found.len(), 400);
        assert!(found.iter().all(|(from, to)| to - from == 500 && *from >= least && *to <= greatest + 1));
        for (number, (from, _)) in (0..).zip(&found) {
            assert_eq!((from - least) / 25_000, number);
        }
        assert_eq!(found, blocks(least, greatest, 10_000_000, 200_000, 1));
        assert_ne!(found, blocks(least, greatest, 10_000_000, 200_000, 2));
    }

    #[test]
    fn ids_of_any_size_are_divided() {
        let found = blocks(i128::from(i64::MIN), i128::from(u64::MAX), 1_000_000, 1_000, 1);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|(from, to)| from < to));
    }
}
