//! The load of a shard.

use std::time::{Duration, Instant};

/// A shard that gets so many results within a window is busy, until a window passes with fewer.
const BUSY_ROWS: usize = 32;
const BUSY_WINDOW: Duration = Duration::from_millis(50);

/// The rate at which results arrive, which decides whether it pays to gather them.
#[derive(Debug)]
pub(super) struct Pressure {
    since: Instant,
    current: usize,
    last: usize,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { since: Instant::now(), current: 0, last: 0 }
    }
}

impl Pressure {
    /// Counts results that arrived, and says whether the shard is busy.
    pub(super) fn is_busy_with(&mut self, rows: usize, now: Instant) -> bool {
        let elapsed = now - self.since;
        if elapsed >= BUSY_WINDOW {
            self.last = if elapsed < 2 * BUSY_WINDOW { self.current } else { 0 };
            (self.since, self.current) = (now, 0);
        }
        self.current += rows;
        self.current.max(self.last) >= BUSY_ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_results_make_a_shard_busy_until_a_window_passes_with_few() {
        let mut pressure = Pressure::default();
        let start = pressure.since;
        assert!(!pressure.is_busy_with(BUSY_ROWS - 1, start));
        assert!(pressure.is_busy_with(1, start));
        assert!(pressure.is_busy_with(0, start + BUSY_WINDOW), "the window before still counts");
        assert!(!pressure.is_busy_with(1, start + 2 * BUSY_WINDOW));
    }

    #[test]
    fn results_of_long_ago_do_not_count() {
        let mut pressure = Pressure::default();
        let start = pressure.since;
        assert!(pressure.is_busy_with(BUSY_ROWS, start));
        assert!(!pressure.is_busy_with(1, start + 10 * BUSY_WINDOW));
    }
}
