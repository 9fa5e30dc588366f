//! How long things took, and how many a second there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Latency;

/// A spread of durations, from a microsecond to a minute.
#[derive(Debug)]
pub(super) struct Latencies(Mutex<Option<Histogram<u64>>>);

impl Latencies {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3).ok()))
    }

    pub(super) fn record(&self, took: Duration) {
        if let Some(histogram) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// `None` before there is anything to tell.
    pub(super) fn spread(&self) -> Option<Latency> {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// How fast a count grows.
#[derive(Debug)]
pub(super) struct Rate(Mutex<Window>);

#[derive(Debug)]
struct Window {
    since: Option<(Instant, u64)>,
    last: Option<f64>,
}

impl Rate {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Window { since: None, last: None }))
    }

    /// The growth a second over the last window that is over; whoever asks closes a window that has lasted a second.
    pub(super) fn of(&self, count: u64) -> Option<f64> {
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
