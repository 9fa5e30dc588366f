//! The effect of chance on few rows: how evenly they fall on shards, and so which alternative looks best.

use std::num::NonZeroU16;

use super::{RatedAlternative, best_two};

/// Fewer rows a shard say more about chance than about a strategy.
const LEAST_A_SHARD: u64 = 10;
/// A difference of less does not matter, by chance or not: the alternative that is listed first is as good.
const MATTERS: f64 = 0.05;

/// The rows of the busiest time, by which alternatives are ranked.
#[must_use]
pub fn busiest_rows(findings: &[RatedAlternative]) -> u64 {
    findings.first().map_or(0, |finding| finding.prediction.busiest.rows.work.iter().sum::<f64>() as u64)
}

/// True when the busiest time has too few rows to tell strategies apart.
#[must_use]
pub fn too_few(findings: &[RatedAlternative], shards: NonZeroU16) -> bool {
    busiest_rows(findings) < LEAST_A_SHARD * u64::from(shards.get())
}

/// The rows of the busiest time that it would take to see a difference between the best and the best of another kind, where
/// chance alone makes differences such as theirs; none where they differ by more, or where chance makes none that matters.
///
/// The rows that the hottest shard happens to get vary as a multinomial's: the logarithm of their number by √((1 −
/// share) ÷ (rows × share)). Two alternatives differ by more than chance if they differ by twice what both vary
/// together, or more.
#[must_use]
pub fn rows_to_tell(findings: &[RatedAlternative]) -> Option<u64> {
    let best = best_two(findings);
    let [one, other] = best.as_slice() else { return None };
    let rows = busiest_rows(findings) as f64;
    let varies = |finding: &RatedAlternative| {
        let stats = &finding.prediction.busiest.rows;
        let share = stats.share.get(stats.hottest).copied().unwrap_or_default();
        if share > 0.0 { (1.0 - share) / (rows * share) } else { 0.0 }
    };
    let by_chance = 2.0 * (varies(one) + varies(other)).sqrt();
    let apart = (one.prediction.worth / other.prediction.worth).ln().abs();
    let is_told = apart >= by_chance || by_chance < MATTERS;
    // What chance makes shrinks with the root of the rows.
    (!is_told).then(|| (rows * (by_chance / apart.max(MATTERS)).powi(2)).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use coupon_core::ShardingStats;

    use super::*;
    use crate::advise::render::tests::findings;
    use crate::replay::QueryMix;

    /// The best two have these rows in the busiest time.
    fn of(rows: [[u64; 4]; 2]) -> Vec<RatedAlternative> {
        let recording = crate::advise::predict::tests::recording();
        let mut all = findings(&recording, &QueryMix::none());
        all.retain(|finding| ["hash", "range-room+equal"].contains(&finding.alternative.name.as_str()));
        for (finding, rows) in all.iter_mut().zip(rows) {
            let stats = ShardingStats::of_counts(&rows);
            finding.prediction.worth = stats.effective_shards.unwrap();
            finding.prediction.busiest.rows = stats;
        }
        all
    }

    #[test]
    fn what_uniform_rows_do_by_chance_names_no_best() {
        // 44 rows of 44 users: no key is better than another.
        let few = of([[22, 8, 7, 7], [17, 9, 9, 9]]);
        assert_eq!(busiest_rows(&few), 44);
        let needed = rows_to_tell(&few).unwrap();
        assert!((100..400).contains(&needed), "{needed}");
        // Ten times as many of the same are enough.
        let many = [[22, 8, 7, 7], [17, 9, 9, 9]].map(|rows| rows.map(|rows| rows * 10));
        assert_eq!(rows_to_tell(&of(many)), None);
    }

    #[test]
    fn one_shard_for_all_is_told_from_four_by_a_few_rows_and_a_tie_of_many_is_none() {
        assert_eq!(rows_to_tell(&of([[60, 0, 0, 0], [15, 15, 15, 15]])), None);
        assert_eq!(rows_to_tell(&of([[10_000; 4], [10_010; 4]])), None);
        assert!(rows_to_tell(&of([[15; 4], [15; 4]])).is_some());
        assert!(too_few(&of([[9; 4]; 2]), NonZeroU16::new(4).unwrap()));
        assert!(!too_few(&of([[10; 4]; 2]), NonZeroU16::new(4).unwrap()));
    }
}
