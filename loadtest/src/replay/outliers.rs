//! Rows that are far apart from all others in time, and gaps between those that are not.

use std::ops::Range;

/// Rows are apart only by more than a day.
const LEAST_MS: i64 = 86_400_000;
/// … and by more than so many times all that the others take.
const TIMES: i64 = 10;
/// … and they are at most one in so many, at either end.
const FEW: usize = 100;

/// The times that belong together; all others are strays. Times must be in order.
pub(super) fn together(times: &[i64]) -> Range<usize> {
    let few = times.len() / FEW;
    let core = few..times.len() - few;
    let limit = LEAST_MS.max(times.get(core.clone()).map_or(0, span).saturating_mul(TIMES));
    let is_wide = |at: &usize| matches!(times.get(*at..at + 2), Some([a, b]) if b - a > limit);
    let start = (0..few).rev().find(is_wide).map_or(0, |at| at + 1);
    let end = (core.end.saturating_sub(1)..times.len()).find(is_wide).map_or(times.len(), |at| at + 1);
    start..end
}

/// The widest gap between two times that follow each other: the place of the earlier, and its length.
pub(super) fn widest(times: &[i64]) -> Option<(usize, i64)> {
    let gaps = times.windows(2).map(|pair| match pair {
        [earlier, later] => later - earlier,
        _ => 0,
    });
    // Of equals the first.
    gaps.enumerate().max_by_key(|(at, gap)| (*gap, std::cmp::Reverse(*at)))
}

fn span(times: &[i64]) -> i64 {
    times.first().zip(times.last()).map_or(0, |(first, last)| last - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = LEAST_MS;

    #[test]
    fn one_row_of_1970_among_a_thousand_of_a_minute_is_a_stray() {
        let minute: Vec<i64> = (0..1_000).map(|n| 17_000 * DAY + n * 60).collect();
        let times: Vec<i64> = [0].into_iter().chain(minute.iter().copied()).collect();
        assert_eq!(together(&times), 1..1_001);
        // On both sides.
        let times: Vec<i64> = times.into_iter().chain([40_000 * DAY]).collect();
        assert_eq!(together(&times), 1..1_001);
        assert_eq!(together(&minute), 0..1_000);
    }

    #[test]
    fn gaps_of_a_sale_are_no_reason_to_leave_rows_out() {
        // Two minutes of nothing in the middle, a quiet week, one of ten rows.
        for times in [
            (0..10).map(|n| n * 100 + if n < 5 { 0 } else { 120_000 }).collect::<Vec<i64>>(),
            (0..1_000).map(|n| n * DAY / 50 + if n < 5 { 0 } else { 7 * DAY }).collect(),
            (0..10).map(|n| if n == 0 { 0 } else { 10_000 * DAY + n }).collect(),
            vec![5],
            vec![],
        ] {
            assert_eq!(together(&times), 0..times.len());
        }
    }

    #[test]
    fn the_widest_gap_is_found() {
        assert_eq!(widest(&[1, 2, 9, 10, 17]), Some((1, 7)));
        assert_eq!(widest(&[1]), None);
    }
}
