//! Counts of the pipeline's work since the service started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::ShardId;
use coupon_store::metrics::{Buckets, Exposition};

use super::grab::{GrabDecision, NotDecided};
use super::hot::Hot;
use crate::api::HotResults;

/// The end of a grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the answers by name")]
pub enum GrabEnd {
    Granted,
    Repeated,
    OutOfStock,
    Duplicate,
    InvalidTime,
    Unavailable,
}

impl GrabEnd {
    /// Every outcome, as metrics label them.
    pub const ALL: [(Self, &str); 6] = [
        (Self::Granted, "granted"),
        (Self::Repeated, "repeated"),
        (Self::OutOfStock, "out_of_stock"),
        (Self::Duplicate, "duplicate"),
        (Self::InvalidTime, "invalid_time"),
        (Self::Unavailable, "unavailable"),
    ];

    /// `None` for a grab that was no valid request.
    pub(super) const fn of(answer: &Result<GrabDecision, NotDecided>) -> Option<Self> {
        match answer {
            Ok(GrabDecision::Granted(_)) => Some(Self::Granted),
            Ok(GrabDecision::Repeated(_)) => Some(Self::Repeated),
            Ok(GrabDecision::Duplicate(_)) => Some(Self::Duplicate),
            Ok(GrabDecision::OutOfStock) => Some(Self::OutOfStock),
            Ok(GrabDecision::InvalidTime) => Some(Self::InvalidTime),
            Err(NotDecided::Unavailable(_)) => Some(Self::Unavailable),
            Err(NotDecided::NoPlace(_)) => None,
        }
    }
}

/// The reason why a grab was refused before the gate was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyRefusal {
    /// Too many wait on its worker.
    Waiting,
    /// Its shard, or the way there, takes none for now.
    Shard,
}

/// Counts that all workers share, but for what is hot. Each is touched once a grab or once a batch.
#[derive(Debug)]
pub struct GrabCounters {
    outcomes: [AtomicU64; GrabEnd::ALL.len()],
    recalled: AtomicU64,
    refused: [AtomicU64; 2],
    batches: Buckets,
    gate: Buckets,
    gate_failures: AtomicU64,
    shards: Vec<HandOvers>,
    pub(super) hot: Hot,
}

/// The hand-overs to one shard.
#[derive(Debug)]
struct HandOvers {
    took: Buckets,
    failures: AtomicU64,
}

impl GrabCounters {
    /// For so many shards.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        let none = |_| HandOvers { took: Buckets::seconds(), failures: AtomicU64::new(0) };
        Self {
            outcomes: Default::default(),
            recalled: AtomicU64::new(0),
            refused: Default::default(),
            batches: Buckets::sizes(),
            gate: Buckets::seconds(),
            gate_failures: AtomicU64::new(0),
            shards: (0..shards).map(none).collect(),
            hot: Hot::new(),
        }
    }

    /// The number of grabs that ended so.
    #[must_use]
    pub fn outcome(&self, outcome: GrabEnd) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The number of batches that went through the gate, and of grabs in all of them.
    #[must_use]
    pub fn batches(&self) -> (u64, u64) {
        self.batches.count_and_sum()
    }

    /// The rooms, coupons and users that the last minute's results are of.
    #[must_use]
    pub fn hot(&self) -> HotResults {
        self.hot.results()
    }

    /// A grab whose answer was known without asking the gate.
    pub(super) fn recalled(&self, answer: GrabDecision) {
        self.recalled.fetch_add(1, Ordering::Relaxed);
        if let Some(outcome) = GrabEnd::of(&Ok(answer)) {
            self.count(outcome);
        }
    }

    pub(super) fn count(&self, outcome: GrabEnd) {
        if let Some(count) = self.outcomes.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self, refusal: EarlyRefusal) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn gate(&self, grabs: usize, took: Duration) {
        self.batches.held(grabs);
        self.gate.took(took);
    }

    pub(super) fn gate_failed(&self) {
        self.gate_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handed_over(&self, shard: ShardId, took: Duration, safe: bool) {
        let Some(shard) = self.shards.get(shard.index()) else { return };
        shard.took.took(took);
        if !safe {
            shard.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// States all of it.
    pub fn expose(&self, page: &mut Exposition) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut outcomes = page.counter("coupon_grabs_total", "Grabs answered, by outcome.");
        for (outcome, name) in GrabEnd::ALL {
            outcomes.is(&[("outcome", name)], self.outcome(outcome));
        }
        page.counter("coupon_recalled_total", "Grabs refused from memory, without asking the gate again.")
            .is(&[], count(&self.recalled));
        let mut refused = page.counter(
            "coupon_refused_total",
            "Grabs answered with 503 before the gate: too many wait on their worker, or their shard takes none.",
        );
        for (refusal, name) in [(EarlyRefusal::Waiting, "waiting_max"), (EarlyRefusal::Shard, "shard")] {
            refused.is(&[("reason", name)], self.refused.get(refusal as usize).map_or(0, count));
        }
        page.histogram("coupon_batch_grabs", "Grabs in a batch that went through the gate.")
            .holds(&[], &self.batches);
        page.histogram("coupon_gate_seconds", "Time a batch took to get its ids and pass the gate.")
            .holds(&[], &self.gate);
        page.counter("coupon_gate_failures_total", "Batches that the gate did not decide.")
            .is(&[], count(&self.gate_failures));
        self.expose_hand_overs(page);
        self.hot.expose(page);
    }

    fn expose_hand_overs(&self, page: &mut Exposition) {
        let shards = || self.shards.iter().enumerate().map(|(number, shard)| (number.to_string(), shard));
        let mut took = page.histogram(
            "coupon_hand_over_seconds",
            "Time a batch's results for one shard took until they were safe.",
        );
        for (number, shard) in shards() {
            took.holds(&[("shard", &number)], &shard.took);
        }
        let mut failures = page.counter(
            "coupon_hand_over_failures_total",
            "Batches' results for one shard that are not known to be safe.",
        );
        for (number, shard) in shards() {
            failures.is(&[("shard", &number)], shard.failures.load(Ordering::Relaxed));
        }
    }
}
