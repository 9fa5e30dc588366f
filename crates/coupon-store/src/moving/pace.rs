//! The pace of a mover, and how far it has come.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coupon_core::ShardId;
use tokio::time::{Instant, sleep};

use crate::measure::Rate;

/// The longest that a mover waits before it looks whether it is stopped, or has another rate.
const LOOK: Duration = Duration::from_millis(50);

/// The shortest wait: what is less is made up for by the next.
const LEAST: Duration = Duration::from_millis(1);

/// The rate of a mover, which can be changed or brought to an end while it works. All shards share it.
#[derive(Debug)]
pub struct Pace {
    rows_per_s: AtomicU32,
    stopped: AtomicBool,
    /// The rows that were moved ahead of the rate, and when that was so.
    ahead: Mutex<(f64, Instant)>,
}

impl Pace {
    /// A pace of at most so many rows a second.
    pub fn new(rows_per_s: NonZeroU32) -> Self {
        let (rows_per_s, stopped) = (AtomicU32::new(rows_per_s.get()), AtomicBool::new(false));
        Self { rows_per_s, stopped, ahead: Mutex::new((0.0, Instant::now())) }
    }

    /// The most rows a second.
    pub fn rows_per_s(&self) -> NonZeroU32 {
        NonZeroU32::new(self.rows_per_s.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    /// Changes the most rows a second.
    pub fn set(&self, rows_per_s: NonZeroU32) {
        self.rows_per_s.store(rows_per_s.get(), Ordering::Relaxed);
    }

    /// No further batch leaves.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Says whether the mover is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The rows that a batch takes of which there are to be so many a second, as long as it may take that many.
    pub(super) fn batch(&self, per_s: u32, most: u32) -> usize {
        (self.rows_per_s().get() / per_s).clamp(1, most) as usize
    }

    /// Waits until so many rows may be moved, or it is stopped.
    pub(super) async fn wait(&self, rows: usize) {
        while !self.is_stopped() {
            match self.take(rows, Instant::now()) {
                None => return,
                Some(wait) => sleep(wait.min(LOOK)).await,
            }
        }
    }

    /// Takes rows from what the rate allows; where it allows none for now, says for how long.
    fn take(&self, rows: usize, now: Instant) -> Option<Duration> {
        let mut ahead = lock(&self.ahead);
        let rate = f64::from(self.rows_per_s().get());
        let passed = now.saturating_duration_since(ahead.1).as_secs_f64();
        *ahead = ((ahead.0 - passed * rate).max(0.0), now);
        let wait = Duration::from_secs_f64(ahead.0 / rate);
        if wait >= LEAST {
            return Some(wait);
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch has few rows")]
        let rows = rows as f64;
        ahead.0 += rows;
        None
    }
}

/// The progress of a mover.
#[derive(Debug)]
pub struct Progress {
    /// The rows that were looked at: of each shard the most that any look at it has come to.
    pub looked_at: AtomicU64,
    looks: Mutex<BTreeMap<ShardId, Look>>,
    /// The rows that have moved.
    pub moved: AtomicU64,
    /// The reasons why it does not go on everywhere, in words, by the shard.
    troubles: Mutex<BTreeMap<Option<ShardId>, String>>,
    rate: Rate,
}

/// The rows of a shard that were looked at.
#[derive(Debug, Default)]
struct Look {
    now: u64,
    furthest: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self::after(0)
    }
}

impl Progress {
    /// A movement that goes on after so many rows were looked at.
    pub fn after(looked_at: u64) -> Self {
        Self {
            looked_at: AtomicU64::new(looked_at),
            looks: Mutex::default(),
            moved: AtomicU64::new(0),
            troubles: Mutex::default(),
            rate: Rate::default(),
        }
    }

    /// A shard is looked at from its first row on. The number goes on where this look comes further than those before.
    pub(super) fn looks_anew(&self, shard: ShardId) {
        lock(&self.looks).entry(shard).or_default().now = 0;
    }

    /// True until it has come to the first row.
    pub fn is_at_the_beginning(&self) -> bool {
        lock(&self.looks).values().all(|look| look.furthest == 0)
    }

    /// A reason why it does not go on everywhere, in words, if there is one.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.troubles).values().next().cloned()
    }

    /// Something is in its way, at a shard or elsewhere.
    pub fn is_in_trouble(&self, at: Option<ShardId>, error: &impl Display) {
        lock(&self.troubles).insert(at, error.to_string());
    }

    /// Nothing is in its way there any more.
    pub(super) fn is_out_of_trouble(&self, at: ShardId) {
        lock(&self.troubles).remove(&Some(at));
    }

    /// The rows that were looked at in the last seconds, by the second.
    pub fn rows_per_s(&self) -> f64 {
        self.rate.of(self.looked_at.load(Ordering::Relaxed)).unwrap_or(0.0)
    }

    pub(super) fn looked_at(&self, shard: ShardId, rows: usize) {
        let mut looks = lock(&self.looks);
        let look = looks.entry(shard).or_default();
        look.now += rows as u64;
        look.furthest = look.furthest.max(look.now);
        let reached = looks.values().map(|look| look.furthest).sum();
        self.looked_at.fetch_max(reached, Ordering::Relaxed);
    }

    pub(super) fn moved(&self, rows: usize) {
        self.moved.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn movers_keep_the_rate_together_and_hear_of_another_at_once() {
        let (pace, began) = (Pace::new(NonZeroU32::new(1_000).unwrap()), Instant::now());
        assert_eq!((pace.batch(10, 1_000), pace.batch(10, 50), pace.batch(50, 1_000)), (100, 50, 20));
        for _ in 0..20 {
            pace.wait(100).await;
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_890) && took <= Duration::from_millis(2_000), "{took:?}");
        pace.set(NonZeroU32::MIN);
        assert_eq!(pace.batch(10, 1_000), 1);
        let slow = async {
            pace.wait(1).await;
            pace.wait(1).await;
        };
        let faster = async {
            sleep(Duration::from_millis(200)).await;
            pace.set(NonZeroU32::MAX);
        };
        let began = Instant::now();
        tokio::join!(slow, faster);
        assert!(began.elapsed() <= Duration::from_millis(300), "{:?}", began.elapsed());
    }

    #[test]
    fn what_was_looked_at_grows_however_often_a_shard_is_looked_at() {
        let progress = Progress::after(10);
        let (one, other) = (ShardId::new(0), ShardId::new(1));
        let mut seen = Vec::new();
        assert!(progress.is_at_the_beginning());
        for (shard, looks) in [(one, &[8, 7][..]), (other, &[4]), (one, &[9]), (one, &[9, 9])] {
            progress.looks_anew(shard);
            for rows in looks {
                progress.looked_at(shard, *rows);
                seen.push(progress.looked_at.load(Ordering::Relaxed));
            }
        }
        assert_eq!(seen, [10, 15, 19, 19, 19, 22]);
        assert!(!progress.is_at_the_beginning());
    }

    #[test]
    fn trouble_is_told_until_every_shard_is_out_of_it() {
        let progress = Progress::default();
        let (one, other) = (ShardId::new(0), ShardId::new(1));
        progress.is_in_trouble(Some(one), &"it is down");
        progress.is_in_trouble(Some(other), &"it is slow");
        progress.is_out_of_trouble(one);
        assert_eq!(progress.trouble().as_deref(), Some("it is slow"));
        progress.is_out_of_trouble(other);
        assert_eq!(progress.trouble(), None);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_caller_that_waits_is_stopped_at_once() {
        let (pace, began) = (Pace::new(NonZeroU32::MIN), Instant::now());
        pace.wait(1_000).await;
        let stop = async {
            sleep(Duration::from_millis(10)).await;
            pace.stop();
        };
        tokio::join!(pace.wait(1), stop);
        assert!(began.elapsed() <= Duration::from_millis(100));
    }
}
