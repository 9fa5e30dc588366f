//! Watches how many rows each shard has written, and how many wait for it, while the load runs.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coupon_service::api::ShardsStatus;

use super::audience::Seat;
use crate::http::{Target, get_json};
use crate::report::model::Reading;

/// Four looks a second tell the shape of a second; each costs the service one small request.
const EVERY: Duration = Duration::from_millis(250);

/// A last second that is shorter than this is none of its own.
const LEAST_MS: u32 = 250;

/// What each shard had done and had before it, at a moment after the round's start.
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
    /// The first sample is of the moment when the time began; whoever has the seat is shown all of them.
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

/// Rows written in each second by each shard, from samples of what was written in all, earliest first.
///
/// Between two samples, rows are taken to come evenly. The last second may be a part of one, but for what is hardly
/// any: that is added to the second before it, or every round would end in a second that looks idle.
pub(super) fn per_second(samples: &[Sample]) -> Reading<Vec<Vec<u64>>> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Reading::unknown("the shards were not watched");
    };
    let (end, first, last) = (last.at, &first.rows, &last.rows);
    if samples.iter().any(|sample| sample.rows.len() != first.len()) || restarted(samples) {
        return Reading::unknown("the service started again during the round");
    }
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

/// What had been written at a moment, between the samples around it.
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
    fn a_counter_that_falls_is_no_figure() {
        let table = per_second(&[sample(0, [9, 9]), sample(1_000, [0, 9])]);
        assert!(table.reason().unwrap().contains("started again"));
        assert!(per_second(&[]).known().is_none());
    }
}
