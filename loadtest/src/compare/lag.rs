//! The flow of a round's grabs from acknowledgement to row: the number that waited, and the time they took.

use std::time::Duration;

use coupon_lab::Used;
use coupon_report::model::{Figure, Flow, Reading, ShardFlow};

use super::sampler::Sample;

/// The shards' totals at a moment, as far as they could be read.
pub(super) struct ShardTotals {
    /// Rows of each shard.
    pub(super) rows: Reading<Vec<u64>>,
    /// The CPU and bytes that each shard's server has used.
    pub(super) used: Vec<Used>,
}

/// The totals of a round: before the load, at its end, and when all was stored.
pub(super) struct RoundTotals {
    pub(super) before: ShardTotals,
    pub(super) at_end: ShardTotals,
    pub(super) drained: ShardTotals,
    /// The duration of the load.
    pub(super) load: Duration,
    /// The duration of everything that it left behind.
    pub(super) drain: Reading<Duration>,
}

/// The round as a whole.
pub(super) fn of_round(totals: &RoundTotals) -> Flow {
    let sum = |rows: &Vec<u64>| rows.iter().sum::<u64>();
    let between = |before: &Reading<Vec<u64>>, after: &Reading<Vec<u64>>| match (before, after) {
        (Reading::Known(before), Reading::Known(after)) => sum(after).checked_sub(sum(before)).map_or_else(
            || Figure::unknown("rows went away during the round"),
            |rows| Figure::of(rows as f64),
        ),
        (Reading::Unknown(why), _) | (_, Reading::Unknown(why)) => Figure::unknown(why),
    };
    let stored = between(&totals.before.rows, &totals.at_end.rows);
    Flow {
        stored_per_s: map(stored, |rows| rows / totals.load.as_secs_f64()),
        backlog: match &totals.drain {
            Reading::Known(_) => between(&totals.at_end.rows, &totals.drained.rows),
            Reading::Unknown(why) => Figure::unknown(format!("it was not drained: {why}")),
        },
        drain_seconds: match &totals.drain {
            Reading::Known(took) => Figure::of(took.as_secs_f64()),
            Reading::Unknown(why) => Figure::unknown(why),
        },
    }
}

/// One shard of it. With a quota of so many cores, also how much of it was used.
pub(super) fn of_shard(
    shard: usize,
    samples: &[Sample],
    totals: &RoundTotals,
    quota: Option<f64>,
) -> ShardFlow {
    let deepest = samples.iter().filter_map(|sample| sample.waiting.get(shard)).max();
    ShardFlow {
        queue_depth_max: Reading::or_because(
            deepest.map(|depth| *depth as f64),
            "the shards were not watched",
        ),
        lag_ms_max: lag(samples, shard),
        saturation: match quota {
            None => Figure::unknown("no CPU quota was set"),
            Some(cores) => {
                let cpu = cpu_between(&totals.before, &totals.at_end, shard);
                map(cpu, |seconds| seconds / (cores * totals.load.as_secs_f64()))
            }
        },
    }
}

/// Rows that a shard got between two readings.
pub(super) fn rows_between(before: &ShardTotals, after: &ShardTotals, shard: usize) -> Figure {
    let (before, after) = match (&before.rows, &after.rows) {
        (Reading::Known(before), Reading::Known(after)) => (before.get(shard), after.get(shard)),
        (Reading::Unknown(why), _) | (_, Reading::Unknown(why)) => return Figure::unknown(why),
    };
    match (before, after) {
        (Some(before), Some(after)) if after >= before => Figure::of((after - before) as f64),
        (Some(_), Some(_)) => Figure::unknown("rows went away during the round"),
        _ => Figure::unknown("the shard was not there at the start of the round"),
    }
}

/// CPU time that a shard's server used between two readings.
pub(super) fn cpu_between(before: &ShardTotals, after: &ShardTotals, shard: usize) -> Figure {
    between(before, after, shard, |used| &used.cpu_seconds)
}

/// Bytes that a shard's server wrote between two readings.
pub(super) fn bytes_between(before: &ShardTotals, after: &ShardTotals, shard: usize) -> Figure {
    between(before, after, shard, |used| &used.bytes_written)
}

fn between(before: &ShardTotals, after: &ShardTotals, shard: usize, figure: fn(&Used) -> &Figure) -> Figure {
    match (before.used.get(shard).map(figure), after.used.get(shard).map(figure)) {
        (Some(Figure::Known(before)), Some(Figure::Known(after))) if after >= before => {
            Figure::of(after - before)
        }
        (Some(Figure::Known(_)), Some(Figure::Known(_))) => {
            Figure::unknown("the shard's server started again during the round")
        }
        (Some(Figure::Unknown(why)), _) | (_, Some(Figure::Unknown(why))) => Figure::unknown(why),
        (None, _) | (_, None) => Figure::unknown("the shard was not there at the start of the round"),
    }
}

fn map(figure: Figure, to: impl FnOnce(f64) -> f64) -> Figure {
    figure.value().map_or(figure, |value| Figure::of(to(value)))
}

/// The longest lag of a shard, in milliseconds: the age of the newest stored row at the time of a sample. The queue
/// is first in, first out, so that row was handed over when the hand-overs first came to as many as are stored now.
fn lag(samples: &[Sample], shard: usize) -> Figure {
    let known = known(samples, shard);
    let longest = known.iter().map(|look| lag_at(&known, look));
    longest
        .fold(None, |most: Option<f64>, lag| Some(most.map_or(lag, |most| most.max(lag))))
        .map_or_else(|| Figure::unknown("the shards were not watched"), Figure::of)
}

/// A shard's lag at the latest look, in milliseconds; none before the first.
#[must_use]
pub fn latest_lag_ms(samples: &[Sample], shard: usize) -> Option<f64> {
    let known = known(samples, shard);
    known.last().map(|look| lag_at(&known, look))
}

/// The time of each sample of a shard, in milliseconds, the rows stored then, and the rows handed over by then.
fn known(samples: &[Sample], shard: usize) -> Vec<(f64, f64, f64)> {
    let known = samples.iter().filter_map(|sample| {
        let (stored, waiting) = (*sample.rows.get(shard)?, *sample.waiting.get(shard)?);
        Some((sample.at.as_secs_f64() * 1e3, stored as f64, (stored + waiting) as f64))
    });
    known.collect()
}

fn lag_at(known: &[(f64, f64, f64)], &(now, stored, handed): &(f64, f64, f64)) -> f64 {
    if handed <= stored { 0.0 } else { (now - reached(known, stored)).max(0.0) }
}

/// The time at which more than so many rows had been handed over for the first time, between the samples around it.
fn reached(known: &[(f64, f64, f64)], rows: f64) -> f64 {
    let next = known.partition_point(|(.., handed)| *handed <= rows);
    let at = |index: usize| known.get(index).map(|(at, _, handed)| (*at, *handed));
    match (next.checked_sub(1).and_then(at), at(next)) {
        (Some((from, before)), Some((to, after))) => from + (to - from) * (rows - before) / (after - before),
        (None, Some((first, _))) => first,
        (Some((last, _)), None) => last,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, rows: u64, waiting: u64) -> Sample {
        Sample { at: Duration::from_millis(millis), rows: vec![rows], waiting: vec![waiting] }
    }

    fn shard_totals(rows: u64, cpu: f64) -> ShardTotals {
        let used = Used { cpu_seconds: Figure::of(cpu), bytes_written: Figure::of(0.0) };
        ShardTotals { rows: Reading::Known(vec![rows, 5]), used: vec![used] }
    }

    fn totals() -> RoundTotals {
        RoundTotals {
            before: shard_totals(10, 1.0),
            at_end: shard_totals(40, 1.9),
            drained: shard_totals(100, 3.0),
            load: Duration::from_secs(3),
            drain: Reading::Known(Duration::from_secs(6)),
        }
    }

    #[test]
    fn what_is_not_stored_at_the_end_is_the_backlog() {
        let flow = of_round(&totals());
        assert_eq!((flow.stored_per_s, flow.backlog), (Figure::of(10.0), Figure::of(60.0)));
        assert_eq!(flow.drain_seconds, Figure::of(6.0));
    }

    #[test]
    fn a_round_that_does_not_drain_has_no_backlog_to_tell() {
        let totals = RoundTotals { drain: Reading::unknown("shard 1 is down"), ..totals() };
        let flow = of_round(&totals);
        assert!(flow.backlog.reason().unwrap().contains("shard 1 is down"));
        assert_eq!(flow.stored_per_s, Figure::of(10.0));
    }

    #[test]
    fn saturation_is_cpu_used_while_the_load_ran_by_what_the_quota_allows() {
        let flow = of_shard(0, &[], &totals(), Some(0.5));
        assert!((flow.saturation.value().unwrap() - 0.6).abs() < 1e-9, "{flow:?}");
        assert_eq!(of_shard(0, &[], &totals(), None).saturation.reason(), Some("no CPU quota was set"));
        assert!(of_shard(1, &[], &totals(), Some(0.5)).saturation.value().is_none());
    }

    #[test]
    fn a_lag_is_the_age_of_the_hand_over_that_was_stored_last() {
        // 100 rows are handed over each second, and 50 stored.
        let samples =
            [sample(0, 0, 0), sample(1_000, 50, 50), sample(2_000, 100, 100), sample(3_000, 150, 150)];
        let flow = of_shard(0, &samples, &totals(), None);
        assert!((flow.lag_ms_max.value().unwrap() - 1_500.0).abs() < 1e-6, "{flow:?}");
        assert_eq!(flow.queue_depth_max, Figure::of(150.0));
    }

    #[test]
    fn an_empty_queue_has_no_lag_and_an_unwatched_one_no_figure() {
        let samples = [sample(0, 0, 0), sample(1_000, 50, 0)];
        assert_eq!(of_shard(0, &samples, &totals(), None).lag_ms_max, Figure::of(0.0));
        assert!(of_shard(0, &[], &totals(), None).lag_ms_max.value().is_none());
        assert!(of_shard(0, &[], &totals(), None).queue_depth_max.value().is_none());
    }

    #[test]
    fn a_server_that_started_again_has_no_figure() {
        let (before, after) = (shard_totals(10, 5.0), shard_totals(10, 1.0));
        assert!(cpu_between(&before, &after, 0).reason().unwrap().contains("started again"));
    }
}
