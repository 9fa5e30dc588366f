//! The time of day, in one place, so that a test can put it just before midnight.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use coupon_core::Timestamp;

use crate::failpoints;

/// The system's clock, plus two offsets that are zero outside of tests. One displaces everybody's time, the main
/// database's too; the other makes this clock alone wrong. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    displaced_ms: Arc<AtomicI64>,
    wrong_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that reads `now` at this moment, and runs on from there; the main database's time is moved with it.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        let clock = Self::system();
        clock.set(now);
        clock
    }

    /// Moves everybody's time forward or back.
    pub fn set(&self, now: Timestamp) {
        self.displaced_ms.store(now.millis() - system_millis(), Ordering::Relaxed);
    }

    /// Another clock in the same time, which can be wrong by itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { displaced_ms: Arc::clone(&self.displaced_ms), wrong_ms: Arc::default() }
    }

    /// Makes this clock show more than it should by so many milliseconds, or less. Main's time stays.
    pub fn set_wrong_by(&self, millis: i64) {
        self.wrong_ms.store(millis, Ordering::Relaxed);
    }

    /// The moment it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let wrong = self.wrong_ms.load(Ordering::Relaxed) + failpoints::clock_wrong_ms();
        Timestamp::from_millis(system_millis() + self.displacement_ms() + wrong)
    }

    /// The offset to add to the time of another machine, so that a test moves that time too.
    pub(crate) fn displacement_ms(&self) -> i64 {
        self.displaced_ms.load(Ordering::Relaxed) + failpoints::clock_displacement_ms()
    }
}

/// Milliseconds since 1970; 0 when the system's clock shows an earlier time.
fn system_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
