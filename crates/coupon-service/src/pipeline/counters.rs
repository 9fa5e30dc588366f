//! What the pipeline has done since the service started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Histogram;

use super::{Answer, NotDecided};

/// How a grab ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the answers by name")]
pub enum Outcome {
    Granted,
    OutOfStock,
    Duplicate,
    InvalidTime,
    Unavailable,
}

impl Outcome {
    /// Every outcome, as metrics label them.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Granted, "granted"),
        (Self::OutOfStock, "out_of_stock"),
        (Self::Duplicate, "duplicate"),
        (Self::InvalidTime, "invalid_time"),
        (Self::Unavailable, "unavailable"),
    ];

    /// `None` for a grab that was no valid request.
    pub(super) const fn of(answer: &Result<Answer, NotDecided>) -> Option<Self> {
        match answer {
            Ok(Answer::Granted(_)) => Some(Self::Granted),
            Ok(Answer::Duplicate(_)) => Some(Self::Duplicate),
            Ok(Answer::OutOfStock) => Some(Self::OutOfStock),
            Ok(Answer::InvalidTime) => Some(Self::InvalidTime),
            Err(NotDecided::Unavailable(_)) => Some(Self::Unavailable),
            Err(NotDecided::NoPlace(_)) => None,
        }
    }
}

/// Counts that all workers share. Each is touched once a grab or once a batch.
#[derive(Debug)]
pub struct GrabCounters {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    batches: AtomicU64,
    batched: AtomicU64,
    batch_size: Histogram,
    gate_seconds: Histogram,
    hand_over_seconds: Histogram,
}

impl GrabCounters {
    /// Counters that also feed these histograms, once a batch.
    #[must_use]
    pub fn new(batch_size: Histogram, gate_seconds: Histogram, hand_over_seconds: Histogram) -> Self {
        Self {
            outcomes: Default::default(),
            batches: AtomicU64::new(0),
            batched: AtomicU64::new(0),
            batch_size,
            gate_seconds,
            hand_over_seconds,
        }
    }

    /// How many grabs ended so.
    #[must_use]
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How many batches went through the gate, and how many grabs in all of them.
    #[must_use]
    pub fn batches(&self) -> (u64, u64) {
        (self.batches.load(Ordering::Relaxed), self.batched.load(Ordering::Relaxed))
    }

    /// A grab whose answer was known without asking the gate.
    pub(super) fn recalled(&self, answer: Answer) {
        if let Some(outcome) = Outcome::of(&Ok(answer)) {
            self.count(outcome);
        }
    }

    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(count) = self.outcomes.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "batches are far smaller than 2^52")]
    pub(super) fn gate(&self, grabs: usize, took: Duration) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batched.fetch_add(grabs as u64, Ordering::Relaxed);
        self.batch_size.record(grabs as f64);
        self.gate_seconds.record(took);
    }

    pub(super) fn handed_over(&self, took: Duration) {
        self.hand_over_seconds.record(took);
    }
}
