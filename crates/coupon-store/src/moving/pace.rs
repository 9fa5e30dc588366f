//! The pace of a mover, and how far it has come.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::measure::Rate;

/// The most rows that one batch takes, whatever the rate: they are in memory, and their shard stores nothing meanwhile.
const BATCH_MAX: u32 = 8_192;
/// The fewest, so that a low rate does not cost a transaction a row.
const BATCH_MIN: u32 = 100;
/// So many batches a second, as long as their sizes allow it.
const BATCHES_PER_S: u32 = 10;

/// The rate of a mover, which can be changed or brought to an end while it works.
#[derive(Debug)]
pub(crate) struct Pace {
    rows_per_s: AtomicU32,
    stopped: AtomicBool,
}

impl Pace {
    pub(crate) fn new(rows_per_s: NonZeroU32) -> Self {
        Self { rows_per_s: AtomicU32::new(rows_per_s.get()), stopped: AtomicBool::new(false) }
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

    /// The rows that a batch takes.
    pub(super) fn batch(&self) -> usize {
        (self.rows_per_s().get() / BATCHES_PER_S).clamp(BATCH_MIN, BATCH_MAX) as usize
    }

    /// The moment before which nothing more is moved, when so many rows were moved from a moment on, by one of so many movers
    /// who share the rate.
    pub(super) fn next(&self, began: Instant, rows: usize, movers: usize) -> Instant {
        let rate = f64::from(self.rows_per_s().get());
        #[expect(clippy::cast_precision_loss, reason = "a batch has few rows, and there are few shards")]
        let seconds = rows as f64 * movers.max(1) as f64 / rate;
        began + Duration::from_secs_f64(seconds)
    }
}

/// How far a mover has come.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) looked_at: AtomicU64,
    pub(crate) moved: AtomicU64,
    rate: Rate,
}

impl Default for Progress {
    fn default() -> Self {
        Self { looked_at: AtomicU64::new(0), moved: AtomicU64::new(0), rate: Rate::new() }
    }
}

impl Progress {
    /// Everything is looked at once more.
    pub(crate) fn begin(&self) {
        self.looked_at.store(0, Ordering::Relaxed);
    }

    /// The rows that were looked at in the last seconds, by the second.
    pub(crate) fn rows_per_s(&self) -> f64 {
        self.rate.of(self.looked_at.load(Ordering::Relaxed)).unwrap_or(0.0)
    }

    pub(super) fn looked_at(&self, rows: usize) {
        self.looked_at.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn moved(&self, rows: usize) {
        self.moved.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
