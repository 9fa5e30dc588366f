//! Work by shard and time, averaged over rounds that are not all of the same length.

use crate::model::ShardLook;

/// The most columns: more are joined, so that each can be seen.
const MOST_COLUMNS: f64 = 60.0;
/// Possible lengths of a column, in seconds: samples come four times a second.
const STEPS: [f64; 11] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// Rows that each shard had written by some moments of a round, from its start to its end.
pub(super) struct RoundRows(Vec<(f64, Vec<f64>)>);

impl RoundRows {
    pub(super) fn of_looks(looks: &[ShardLook]) -> Self {
        let rows = |look: &ShardLook| look.rows.iter().map(|rows| *rows as f64).collect();
        Self(looks.iter().map(|look| (look.at_s, rows(look))).collect())
    }

    fn end(&self) -> f64 {
        self.0.last().map_or(0.0, |(at, _)| *at)
    }

    /// Rows that a shard had written by a moment: between two samples, rows are taken to come evenly.
    fn written(&self, shard: usize, moment: f64) -> f64 {
        let next = self.0.partition_point(|(at, _)| *at < moment);
        let at = |index: usize| {
            let (at, rows) = self.0.get(index)?;
            Some((*at, rows.get(shard).copied()?))
        };
        match (next.checked_sub(1).and_then(at), at(next)) {
            (Some((from, before)), Some((to, after))) if to > from => {
                before + (after - before) * (moment - from) / (to - from)
            }
            (_, Some((_, rows))) | (Some((_, rows)), None) => rows,
            (None, None) => 0.0,
        }
    }
}

/// Rows a second: `columns[at][shard]`, each column `step` seconds wide.
pub(super) struct Map {
    pub(super) columns: Vec<Vec<f64>>,
    pub(super) step: f64,
    pub(super) shards: usize,
    pub(super) rounds: usize,
}

impl Map {
    /// The mean over rounds, in columns of at least so many seconds; nothing without rounds or shards.
    pub(super) fn of(rounds: &[RoundRows], least: f64) -> Option<Self> {
        let end = rounds.iter().map(RoundRows::end).fold(0.0, f64::max);
        let shards =
            rounds.iter().flat_map(|round| round.0.iter()).map(|(_, rows)| rows.len()).max().unwrap_or(0);
        if end <= 0.0 || shards == 0 {
            return None;
        }
        let fits = |step: &&f64| **step >= least && end / **step <= MOST_COLUMNS;
        let step = STEPS.iter().find(fits).copied().unwrap_or(end / MOST_COLUMNS);
        // What is left of a column by the end may be too little to be one.
        let count = ((end / step - 0.3).ceil().max(1.0)) as usize;
        let column =
            |at: usize| (0..shards).map(|shard| mean(rounds, shard, at as f64 * step, step)).collect();
        Some(Self { columns: (0..count).map(column).collect(), step, shards, rounds: rounds.len() })
    }

    /// The most that any shard wrote in any column.
    pub(super) fn most(&self) -> f64 {
        self.columns.iter().flatten().copied().fold(0.0, f64::max)
    }
}

/// A shard's rows a second in a column, over the rounds that lasted for a good part of it.
fn mean(rounds: &[RoundRows], shard: usize, from: f64, step: f64) -> f64 {
    let rates = rounds.iter().filter_map(|round| {
        let to = round.end().min(from + step);
        let lasted = to - from >= 0.3 * step;
        lasted.then(|| (round.written(shard, to) - round.written(shard, from)) / (to - from))
    });
    let (sum, n) = rates.fold((0.0, 0_u32), |(sum, n), rate| (sum + rate, n + 1));
    sum / f64::from(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(seconds: u32, rows: u64) -> RoundRows {
        let look = |second: u32| ShardLook {
            at_s: f64::from(second),
            rows: vec![rows * u64::from(second), 0],
            waiting: vec![0; 2],
        };
        RoundRows::of_looks(&(0..=seconds).map(look).collect::<Vec<_>>())
    }

    #[test]
    fn a_map_is_the_mean_over_rounds() {
        let map = Map::of(&[even(30, 10), even(30, 20)], 0.0).unwrap();
        assert_eq!((map.columns.len(), map.step, map.shards, map.rounds), (60, 0.5, 2, 2));
        assert!(map.columns.iter().all(|column| (column[0] - 15.0).abs() < 1e-9 && column[1] == 0.0));
    }

    #[test]
    fn long_rounds_are_joined_without_changing_rates() {
        let map = Map::of(&[even(601, 15)], 0.0).unwrap();
        assert!(map.columns.len() as f64 <= MOST_COLUMNS + 1.0, "{}", map.columns.len());
        assert!(map.columns.iter().all(|column| (column[0] - 15.0).abs() < 1e-9));
    }

    #[test]
    fn a_round_that_ends_early_does_not_pull_the_others_down() {
        let map = Map::of(&[even(2, 10), even(4, 10)], 1.0).unwrap();
        assert!(map.columns.iter().all(|column| (column[0] - 10.0).abs() < 1e-9), "{:?}", map.columns);
    }

    #[test]
    fn a_burst_between_looks_stays_where_it_was() {
        let look = |at_s, rows| ShardLook { at_s, rows: vec![rows], waiting: vec![0] };
        let looks = [look(0.0, 0), look(0.25, 0), look(0.5, 50), look(1.0, 50)];
        let map = Map::of(&[RoundRows::of_looks(&looks)], 0.0).unwrap();
        let rates: Vec<f64> = map.columns.iter().map(|column| column[0]).collect();
        assert_eq!(rates, [0.0, 200.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_makes_no_map() {
        assert!(Map::of(&[], 0.0).is_none() && Map::of(&[RoundRows::of_looks(&[])], 0.0).is_none());
    }
}
