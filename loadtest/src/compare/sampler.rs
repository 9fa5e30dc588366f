//! Watches how many rows each shard has written, and how many wait for it, while the load runs.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coupon_loadgen::http::{Target, get_json};
use coupon_report::model::{Reading, ShardLook};
use coupon_service::api::ShardsStatus;

use super::observer::Watcher;

/// Four looks a second show the shape of a second; each costs the service one small request.
const EVERY: Duration = Duration::from_millis(250);

/// The most looks of a round that a report keeps: a map has fewer columns.
const MOST_LOOKS: usize = 240;

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
    pub(super) fn start(target: &Target, began: Instant, first: Sample, watcher: Option<&Watcher>) -> Self {
        let watcher = watcher.cloned();
        let (stop, stopped) = mpsc::channel();
        let target = target.clone();
        let thread = std::thread::spawn(move || {
            let mut samples = vec![first];
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A look that fails is a gap, and gaps are bridged.
                if let Ok(status) = get_json::<ShardsStatus>(&target, "/admin/shards/status") {
                    samples.push(Sample::of(began.elapsed(), &status));
                    if let Some(watcher) = &watcher {
                        watcher.shards(&samples);
                        watcher.hot(&status.hot);
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

fn restarted(samples: &[Sample]) -> bool {
    let fewer = |before: &Sample, after: &Sample| before.rows.iter().zip(&after.rows).any(|(b, a)| a < b);
    samples.iter().zip(samples.iter().skip(1)).any(|(before, after)| fewer(before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, rows: [u64; 2]) -> Sample {
        Sample { at: Duration::from_millis(millis), rows: rows.into(), waiting: vec![0; 2] }
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
        let fallen = looks(&[sample(0, [9, 9]), sample(1_000, [0, 9])]);
        assert!(fallen.reason().unwrap().contains("started again"));
        assert_eq!(looks(&[]).reason(), Some("the shards were not watched"));
    }
}
