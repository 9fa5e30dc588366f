//! One line a second in the log, however many times there is something to say.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Lets one through each second, and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    next_ms: AtomicU64,
    unsaid: AtomicU64,
}

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self { next_ms: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// Whether to speak now; if so, how often it was not allowed since the last time.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(u64::try_from(STARTED.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn admit_at(&self, now: u64) -> Option<u64> {
        let next = self.next_ms.load(Ordering::Relaxed);
        let mine = now >= next
            && self.next_ms.compare_exchange(next, now + 1_000, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_stands_for_all_that_were_not_written() {
        let throttle = Throttle::new();
        assert_eq!(throttle.admit_at(5), Some(0));
        assert_eq!((throttle.admit_at(6), throttle.admit_at(1_004)), (None, None));
        assert_eq!(throttle.admit_at(1_005), Some(2));
    }
}
