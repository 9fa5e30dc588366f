//! The pace of work that several tasks have at the same time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The moments at which the tasks of a process begin a piece of such work, one after the other. They are times and not a lock:
/// a task that is held up holds up no other.
#[derive(Debug)]
pub struct Spacing {
    every: Duration,
    next: Mutex<Option<Instant>>,
}

impl Spacing {
    /// A spacing by which at least so long passes from one moment to the next.
    pub const fn new(every: Duration) -> Self {
        Self { every, next: Mutex::new(None) }
    }

    /// The next moment, for a caller that asks `now`.
    pub fn next(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + self.every);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_follows_another_and_none_is_made_up_for() {
        let (pace, began) = (Spacing::new(Duration::from_millis(40)), Instant::now());
        let later = |ms| began + Duration::from_millis(ms);
        assert_eq!([0, 0, 1].map(|ms| pace.next(later(ms))), [0, 40, 80].map(later));
        assert_eq!([500, 500].map(|ms| pace.next(later(ms))), [500, 540].map(later));
    }
}
