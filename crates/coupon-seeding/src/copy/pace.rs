//! The pace of a copy: how many rows a second, how many at a time, and how often it notes how far it has come.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

/// The most rows that are read and handed over at a time.
const CHUNK: u64 = 8_192;
/// Rows after which it is noted how far the copy has come, and the time after which it is with fewer: what a run that is
/// cut short has stored beyond that is stored once more.
const SETTLE_ROWS: u64 = 200_000;
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// The most that a copy may be behind its rate and make up for: what it could not use before is lost.
const CREDIT: Duration = Duration::from_secs(1);

pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    /// The time at which it would have begun, had it kept to the rate ever since.
    began: Instant,
    stored: u64,
    unsettled: u64,
    last_settled: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        let now = Instant::now();
        Self { rate, began: now, stored: 0, unsettled: 0, last_settled: now }
    }

    /// Rows to read at a time: a quarter of a second's, where they are limited.
    pub(crate) fn chunk(&self) -> usize {
        let rows = self.rate.map_or(CHUNK, |rate| (rate.get() / 4).clamp(1, CHUNK));
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Takes note of rows that were handed over, and waits where they are ahead of the rate. True if it is time to settle
    /// them.
    pub(crate) fn stored(&mut self, rows: usize) -> bool {
        self.stored += rows as u64;
        self.unsettled += rows as u64;
        if let Some(rate) = self.rate {
            let (due, now) = (due_after(self.stored, rate), Instant::now());
            self.began = without_old_credit(self.began, due, now);
            thread::sleep(due.saturating_sub(now.duration_since(self.began)));
        }
        self.unsettled >= SETTLE_ROWS || (self.unsettled > 0 && self.last_settled.elapsed() >= SETTLE_AFTER)
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    pub(crate) fn settled(&mut self) {
        self.unsettled = 0;
        self.last_settled = Instant::now();
    }
}

/// The time at which a copy would have begun that is behind its rate by no more than what it may make up for.
fn without_old_credit(began: Instant, due: Duration, now: Instant) -> Instant {
    now.checked_sub(due + CREDIT).map_or(began, |earliest| began.max(earliest))
}

/// The time that so many rows take at a rate.
fn due_after(rows: u64, rate: NonZeroU64) -> Duration {
    let (whole, rest) = (rows / rate, rows % rate);
    Duration::from_secs(whole) + Duration::from_nanos(rest.saturating_mul(1_000_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_as_long_as_the_rate_says() {
        let rate = NonZeroU64::new(4_000).unwrap();
        assert_eq!(due_after(10_000, rate), Duration::from_millis(2_500));
        assert_eq!((Pace::new(Some(rate)).chunk(), Pace::new(NonZeroU64::new(1)).chunk()), (1_000, 1));
        assert_eq!(Pace::new(None).chunk(), 8_192);
    }

    #[test]
    fn what_a_copy_could_not_use_of_its_rate_lapses_after_a_second() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds| began + second * seconds;
        assert_eq!(without_old_credit(began, 5 * second, at(6)), began);
        assert_eq!(without_old_credit(began, 5 * second, at(60)), at(54));
        assert_eq!(without_old_credit(began, 5 * second, at(2)), began, "it is ahead");
    }
}
