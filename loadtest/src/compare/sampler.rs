//! Watches how many rows each shard has written, and how many wait for it, while the load runs.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coupon_loadgen::http::{Target, get_json};
use coupon_report::model::{Reading, ShardLook};
use coupon_service::api::ShardsStatus;

use super::observer::Seat;

/// Four looks a second tell the shape of a second; each costs the service one small request.
const EVERY: Duration = Duration::from_millis(250);

/// More looks than these a report does not keep of a round: a map has fewer columns.
const MOST_LOOKS: usize = 240;

/// A last second that is shorter than this is joined to the one before.
const LEAST_MS: u32 = 250;

/// Work done by each shard and work waiting for it, at a moment after the round's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The moment.
    pub at: Duration,
    /// Rows written since the service started, or, on servers, ever.
    pub rows: Vec<u64>,
    /// Results handed over and not in their table yet.
    pub waiting: Vec<u64>,
}

impl Sample {
    pub(super) fn of(at: Duration, status: &ShardsStatus) -> Self {
        Self {
            at,
            rows: status.shards.iter().map(|shard| shard.rows_written).collect(),
            waiting: status.shards.iter().map(|shard| shard.queue_depth).collect(),
        }
    }
}

/// A thread that takes samples until it is stopped.
pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// The first sample is of the moment when the time began; an observer sees all of them.
    pub(super) fn start(target: &Target, began: Instant, first: Sample, seat: Option<&Seat>) -> Self {
        let seat = seat.cloned();
        let (stop, stopped) = mpsc::channel();
        let target = target.clone();
        let thread = std::thread::spawn(move || {
            let mut samples = vec![first];
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A look that fails is a gap, and gaps are bridged.
                if let Ok(status) = get_json::<ShardsStatus>(&target, "/admin/shards/status") {
                    samples.push(Sample::of(began.elapsed(), &status));
                    if let Some(seat) = &seat {
                        seat.shards(&samples);
                    }
                }
            }
            samples
        });
        Self { stop, thread }
    }

    pub(super) fn stop(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

/// The samples as a report keeps them: rows count from the first one.
pub(super) fn looks(samples: &[Sample]) -> Reading<Vec<ShardLook>> {
    if let Some(why) = unusable(samples) {
        return Reading::unknown(why);
    }
    let before = samples.first().map(|first| first.rows.as_slice()).unwrap_or_default();
    let look = |sample: &Sample| ShardLook {
        at_s: sample.at.as_millis() as f64 / 1e3,
        rows: sample.rows.iter().zip(before).map(|(now, then)| now.saturating_sub(*then)).collect(),
        waiting: sample.waiting.clone(),
    };
    let every = samples.len().div_ceil(MOST_LOOKS).max(1);
    let last = samples.len().saturating_sub(1);
    let kept = samples.iter().enumerate().filter(|(at, _)| at % every == 0 || *at == last);
    Reading::Known(kept.map(|(_, sample)| look(sample)).collect())
}

/// The reason why samples show nothing of the work over time, if they do not.
fn unusable(samples: &[Sample]) -> Option<&'static str> {
    let Some(first) = samples.first() else { return Some("the shards were not watched") };
    let other = samples.iter().any(|sample| sample.rows.len() != first.rows.len());
    (other || restarted(samples)).then_some("the service started again during the round")
}

/// Rows written in each second by each shard, from samples of what was written in all, earliest first.
///
/// Between two samples, rows are taken to come evenly. The last second may be a part of one, but for what is hardly
/// any: that is added to the second before it, or every round would end in a second that looks idle.
pub(super) fn per_second(samples: &[Sample]) -> Reading<Vec<Vec<u64>>> {
    let (Some(first), Some(last), None) = (samples.first(), samples.last(), unusable(samples)) else {
        return Reading::unknown(unusable(samples).unwrap_or_default());
    };
    let (end, first, last) = (last.at, &first.rows, &last.rows);
    let seconds = (end.as_secs() + u64::from(end.subsec_millis() >= LEAST_MS)).max(1);
    let mut before = first.clone();
    let mut table = Vec::new();
    for second in 1..=seconds {
        let until = if second == seconds { last.clone() } else { at(samples, Duration::from_secs(second)) };
        table.push(until.iter().zip(&before).map(|(now, then)| now.saturating_sub(*then)).collect());
        before = until;
    }
    Reading::Known(table)
}

fn restarted(samples: &[Sample]) -> bool {
    let fewer = |before: &Sample, after: &Sample| before.rows.iter().zip(&after.rows).any(|(b, a)| a < b);
    samples.iter().zip(samples.iter().skip(1)).any(|(before, after)| fewer(before, after))
}

/// Rows written by a moment, between the samples around it.
fn at(samples: &[Sample], moment: Duration) -> Vec<u64> {
    let next = samples.partition_point(|sample| sample.at < moment);
    let after = samples.get(next).or(samples.last());
    let before = samples.get(next.saturating_sub(1)).or(samples.first());
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let span = after.at.saturating_sub(before.at).as_secs_f64();
    let part = if span > 0.0 { moment.saturating_sub(before.at).as_secs_f64() / span } else { 1.0 };
    before.rows.iter().zip(&after.rows).map(|(b, a)| b + share(a.saturating_sub(*b), part)).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of rows is below 2^53")]
fn share(rows: u64, part: f64) -> u64 {
    (rows as f64 * part.clamp(0.0, 1.0)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, rows: [u64; 2]) -> Sample {
        Sample { at: Duration::from_millis(millis), rows: rows.into(), waiting: vec![0; 2] }
    }

    #[test]
    fn rows_are_shared_out_over_the_seconds_and_none_is_lost() {
        let samples =
            [sample(0, [100, 5]), sample(500, [200, 5]), sample(1_500, [400, 5]), sample(2_300, [407, 8])];
        let table = per_second(&samples);
        let table = table.known().unwrap();
        assert_eq!(table.len(), 3);
        assert_eq!(table[0], [200, 0]);
        assert_eq!(table.iter().map(|second| second[0]).sum::<u64>(), 307);
        assert_eq!(table.iter().map(|second| second[1]).sum::<u64>(), 3);
    }

    #[test]
    fn a_moment_beyond_the_last_second_belongs_to_it() {
        let table = per_second(&[sample(0, [0, 0]), sample(1_000, [90, 9]), sample(1_040, [100, 9])]);
        assert_eq!(table.known().unwrap(), &[[100, 9]]);
    }

    #[test]
    fn looks_count_from_the_first() {
        let looks = looks(&[sample(0, [100, 5]), sample(250, [130, 5]), sample(500, [150, 9])]);
        let looks = looks.known().unwrap();
        assert_eq!(
            looks.iter().map(|look| look.rows.clone()).collect::<Vec<_>>(),
            [[0, 0], [30, 0], [50, 4]]
        );
        assert_eq!(looks.last().map(|look| look.at_s), Some(0.5));
    }

    #[test]
    fn a_long_round_keeps_fewer_looks_and_its_last() {
        let samples: Vec<Sample> = (0..2_402).map(|at| sample(at * 250, [at, 0])).collect();
        let looks = looks(&samples);
        let looks = looks.known().unwrap();
        assert!(looks.len() <= MOST_LOOKS + 1, "{}", looks.len());
        assert_eq!(looks.last().map(|look| look.rows[0]), Some(2_401));
    }

    #[test]
    fn a_counter_that_falls_is_no_figure() {
        let table = per_second(&[sample(0, [9, 9]), sample(1_000, [0, 9])]);
        assert!(table.reason().unwrap().contains("started again"));
        assert!(per_second(&[]).known().is_none());
        assert_eq!(looks(&[sample(0, [9, 9]), sample(1_000, [0, 9])]).known(), None);
        assert_eq!(looks(&[]).reason(), Some("the shards were not watched"));
    }
}
