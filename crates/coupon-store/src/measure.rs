//! Measures of time and rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Latency;
use crate::metrics::{Buckets, Exposition};

/// A spread of durations, from a microsecond to a minute: exact percentiles since the service started, and buckets that
/// others take percentiles of any stretch of time from.
#[derive(Debug)]
pub struct Latencies {
    exact: Mutex<Option<Histogram<u64>>>,
    buckets: Arc<Buckets>,
}

impl Default for Latencies {
    fn default() -> Self {
        let exact = Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3).ok());
        Self { exact, buckets: Arc::new(Buckets::seconds()) }
    }
}

impl Latencies {
    /// Records one.
    pub fn record(&self, took: Duration) {
        self.buckets.took(took);
        if let Some(histogram) = self.exact.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// The durations so far, counted in buckets.
    pub fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.buckets)
    }

    /// Their spread; `None` before anything was recorded.
    pub fn spread(&self) -> Option<Latency> {
        let histogram = self.exact.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Latency {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        })
    }
}

/// The rate at which a count grows.
#[derive(Debug, Default)]
pub struct Rate(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Option<(Instant, u64)>,
    last: Option<f64>,
}

impl Rate {
    /// The growth a second over the last window that is over; a call closes a window that has lasted a second.
    pub fn of(&self, count: u64) -> Option<f64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = *window.since.get_or_insert((Instant::now(), count));
        let elapsed = since.elapsed();
        if elapsed >= Duration::from_secs(1) {
            #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
            let rate = count.saturating_sub(before) as f64 / elapsed.as_secs_f64();
            *window = Window { since: Some((Instant::now(), count)), last: Some(rate) };
        }
        window.last
    }
}

/// The count of main's updates.
#[derive(Debug)]
pub struct AppliedEntries {
    entries: AtomicU64,
    took: Buckets,
}

impl Default for AppliedEntries {
    fn default() -> Self {
        Self { entries: AtomicU64::new(0), took: Buckets::seconds() }
    }
}

impl AppliedEntries {
    /// Records so many entries that were applied together.
    pub fn record(&self, entries: usize, took: Duration) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.took.took(took);
    }

    /// Writes them to a page of metrics.
    pub fn expose(&self, page: &mut Exposition) {
        page.counter(
            "coupon_main_applied_total",
            "Outbox entries that this process told the main database of.",
        )
        .is(&[], self.entries.load(Ordering::Relaxed));
        page.histogram(
            "coupon_main_apply_seconds",
            "Time that a transaction took which told the main database of entries.",
        )
        .holds(&[], &self.took);
    }
}
