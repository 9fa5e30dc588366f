//! The time of day, in one place, so that a test can put it just before midnight.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use coupon_core::Timestamp;

use crate::failpoints;

/// The system's clock, plus an offset that is zero outside of tests. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that reads `now` at this moment, and runs on from there.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        let clock = Self::system();
        clock.set(now);
        clock
    }

    /// Sets it forward or back.
    pub fn set(&self, now: Timestamp) {
        self.offset_ms.store(now.millis() - system_millis(), Ordering::Relaxed);
    }

    /// The moment it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(
            system_millis() + self.offset_ms.load(Ordering::Relaxed) + failpoints::clock_offset_ms(),
        )
    }
}

/// Milliseconds since 1970; 0 when the system's clock shows an earlier time.
fn system_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
