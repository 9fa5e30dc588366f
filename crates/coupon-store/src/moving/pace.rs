//! The pace of a mover, and how far it has come.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::measure::Rate;

/// So many batches a second, as long as their sizes allow it.
const BATCHES_PER_S: u32 = 10;
/// The longest that a mover waits before it looks whether it is stopped, or has another rate.
const LOOK: Duration = Duration::from_millis(50);

/// The shortest wait: what is less is made up for by the next.
const LEAST: Duration = Duration::from_millis(1);

/// The rate of a mover, which can be changed or brought to an end while it works. All shards share it.
#[derive(Debug)]
pub(crate) struct Pace {
    rows_per_s: AtomicU32,
    stopped: AtomicBool,
    /// The rows that were moved ahead of the rate, and when that was so.
    ahead: Mutex<(f64, Instant)>,
}

impl Pace {
    pub(crate) fn new(rows_per_s: NonZeroU32) -> Self {
        let (rows_per_s, stopped) = (AtomicU32::new(rows_per_s.get()), AtomicBool::new(false));
        Self { rows_per_s, stopped, ahead: Mutex::new((0.0, Instant::now())) }
    }

    pub(crate) fn rows_per_s(&self) -> NonZeroU32 {
        NonZeroU32::new(self.rows_per_s.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    pub(crate) fn set(&self, rows_per_s: NonZeroU32) {
        self.rows_per_s.store(rows_per_s.get(), Ordering::Relaxed);
    }

    /// No further batch leaves.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The rows that a batch takes, of which it may take so many.
    pub(super) fn batch(&self, most: u32) -> usize {
        (self.rows_per_s().get() / BATCHES_PER_S).clamp(1, most) as usize
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
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
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

/// How far a mover has come.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The rows that were looked at: the most that any look at everything has come to.
    pub(crate) looked_at: AtomicU64,
    /// Those of the present look.
    this_look: AtomicU64,
    pub(crate) moved: AtomicU64,
    /// The reason why it does not go on everywhere, in words.
    trouble: Mutex<Option<String>>,
    rate: Rate,
}

impl Default for Progress {
    fn default() -> Self {
        Self::after(0)
    }
}

impl Progress {
    /// A movement that goes on after so many rows were looked at.
    pub(crate) fn after(looked_at: u64) -> Self {
        Self {
            looked_at: AtomicU64::new(looked_at),
            this_look: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            trouble: Mutex::default(),
            rate: Rate::new(),
        }
    }

    /// Everything is looked at once more. The number goes on where this look comes further than those before.
    pub(crate) fn begin(&self) {
        self.this_look.store(0, Ordering::Relaxed);
    }

    /// True until the present look has come to the first row.
    pub(crate) fn is_at_the_beginning(&self) -> bool {
        self.this_look.load(Ordering::Relaxed) == 0
    }

    /// The reason why it does not go on everywhere, in words, if there is one.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something is in its way.
    pub(crate) fn is_in_trouble(&self, error: &impl std::fmt::Display) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// Nothing is in its way any more.
    pub(crate) fn is_out_of_trouble(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The rows that were looked at in the last seconds, by the second.
    pub(crate) fn rows_per_s(&self) -> f64 {
        self.rate.of(self.looked_at.load(Ordering::Relaxed)).unwrap_or(0.0)
    }

    pub(super) fn looked_at(&self, rows: usize) {
        let rows = rows as u64;
        let reached = self.this_look.fetch_add(rows, Ordering::Relaxed) + rows;
        self.looked_at.fetch_max(reached, Ordering::Relaxed);
    }

    pub(super) fn moved(&self, rows: usize) {
        self.moved.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn movers_keep_the_rate_together_and_hear_of_another_at_once() {
        let (pace, began) = (Pace::new(NonZeroU32::new(1_000).unwrap()), Instant::now());
        assert_eq!((pace.batch(1_000), pace.batch(50)), (100, 50));
        for _ in 0..20 {
            pace.wait(100).await;
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_890) && took <= Duration::from_millis(2_000), "{took:?}");
        pace.set(NonZeroU32::MIN);
        assert_eq!(pace.batch(1_000), 1);
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
    fn what_was_looked_at_grows_however_often_everything_is_looked_at() {
        let progress = Progress::after(10);
        let shown = |progress: &Progress| progress.looked_at.load(Ordering::Relaxed);
        let mut seen = Vec::new();
        for looks in [&[8, 7][..], &[9], &[9, 9]] {
            progress.begin();
            assert!(progress.is_at_the_beginning());
            for rows in looks {
                progress.looked_at(*rows);
                seen.push(shown(&progress));
            }
        }
        assert_eq!(seen, [10, 15, 15, 15, 18]);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn whoever_waits_is_stopped_at_once() {
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
