//! The time of day, in one place, so that a test can put it just before midnight.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use coupon_core::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::failpoints;

/// The system's clock, plus two offsets that are zero outside of tests. One displaces the time of all processes, the main
/// database's too; the other makes this clock alone wrong. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    displaced_ms: Arc<AtomicI64>,
    wrong_ms: Arc<AtomicI64>,
    /// The moment at which it showed 1970, on the runtime's own time; without it the system's clock is read.
    runtime: Option<Instant>,
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

    /// A clock that reads `now` at this moment, and runs as the time of the runtime does that it is asked in: where that
    /// is paused, it stands still.
    #[must_use]
    pub fn of_runtime(now: Timestamp) -> Self {
        let clock = Self { runtime: Some(Instant::now()), ..Self::default() };
        clock.set(now);
        clock
    }

    /// Moves the time of all processes forward or back.
    pub fn set(&self, now: Timestamp) {
        self.displaced_ms.store(now.millis() - self.source_millis(), Ordering::Relaxed);
    }

    /// Another clock in the same time, which can be wrong by itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { wrong_ms: Arc::default(), ..self.clone() }
    }

    /// Makes this clock show more than it should by so many milliseconds, or less. Main's time stays.
    pub fn set_wrong_by(&self, millis: i64) {
        self.wrong_ms.store(millis, Ordering::Relaxed);
    }

    /// The moment it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let wrong = self.wrong_ms.load(Ordering::Relaxed) + failpoints::clock_wrong_ms();
        Timestamp::from_millis(self.source_millis() + self.displacement_ms() + wrong)
    }

    /// The offset to add to the time of another machine, so that a test moves that time too.
    pub fn displacement_ms(&self) -> i64 {
        self.displaced_ms.load(Ordering::Relaxed) + failpoints::clock_displacement_ms()
    }

    /// The time since the machine was started, including the time in which it slept: it is never set.
    pub fn since_boot_ms(&self) -> i64 {
        if self.runtime.is_some() {
            return self.source_millis();
        }
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        // Elsewhere this one runs on.
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    fn source_millis(&self) -> i64 {
        match self.runtime {
            None => system_millis(),
            Some(start) => i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// Milliseconds since 1970; 0 when the system's clock shows an earlier time.
fn system_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
