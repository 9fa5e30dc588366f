//! The difference between this process's clock and the main database's, whose time all processes go by.

use std::sync::atomic::{AtomicI64, Ordering};

use coupon_core::Timestamp;

use crate::unavailable::Unavailable;

/// Clocks that are further apart than this do not agree.
pub(crate) const AGREE_WITHIN_MS: i64 = 10_000;

/// The difference between this process's clock and main's when they were last compared. Before that, they agree.
#[derive(Debug, Default)]
pub struct Agreement {
    offset_ms: AtomicI64,
}

impl Agreement {
    /// Takes note of how far this process's clock is ahead of main's, in milliseconds; behind it, if negative. Says
    /// whether they agreed before.
    pub(crate) fn found(&self, offset_ms: i64) -> bool {
        agree(self.offset_ms.swap(offset_ms, Ordering::Relaxed))
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Says by how much the clocks are apart, if they do not agree.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        let offset = self.offset_ms();
        if agree(offset) {
            return Ok(());
        }
        // /readyz says only what is missing, so by how much is part of that; the reason goes to the log.
        let most = AGREE_WITHIN_MS / 1_000;
        Err(Unavailable::new(apart(offset), format!("it may be {most} s from it at most")))
    }

    /// Main's time, as far as it is known: what this process's clock shows, less what it is known to be wrong by.
    pub(crate) fn mains(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-self.offset_ms())
    }
}

const fn agree(offset_ms: i64) -> bool {
    offset_ms.unsigned_abs() <= AGREE_WITHIN_MS.unsigned_abs()
}

/// A duration in milliseconds as people read it, in seconds.
pub(crate) fn seconds(millis: i64) -> String {
    let millis = millis.unsigned_abs();
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

fn apart(offset_ms: i64) -> String {
    let side = if offset_ms > 0 { "ahead of" } else { "behind" };
    format!("this process's clock ({} {side} the main database's)", seconds(offset_ms))
}

/// The lead of a clock over main's, which showed `main` at some moment between two at which the clock showed `before`
/// and `after`: halfway, as the best estimate.
pub(crate) fn offset_ms(before: Timestamp, after: Timestamp, main: Timestamp) -> i64 {
    let (first, last) = (before.min(after).millis(), before.max(after).millis());
    let (half, main) = ((last - first) / 2, main.millis());
    let offset = first + half - main;
    // An answer that took long, as when the machine was suspended meanwhile, only proves the least it can be.
    let at_least = offset.abs() - half;
    if half > AGREE_WITHIN_MS { at_least.max(0) * offset.signum() } else { offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }

    #[test]
    fn half_the_round_trip_is_taken_off() {
        assert_eq!(offset_ms(at(0), at(40), at(20)), 0);
        assert_eq!(offset_ms(at(3_600_000), at(3_600_040), at(20)), 3_600_000);
        assert_eq!(offset_ms(at(-20_000), at(-20_000), at(0)), -20_000);
    }

    #[test]
    fn a_machine_that_slept_between_question_and_answer_is_not_called_wrong_for_it() {
        let three_days = 3 * 86_400_000;
        assert_eq!(offset_ms(at(0), at(three_days), at(5)), 0);
        assert_eq!(offset_ms(at(0), at(three_days), at(three_days)), 0);
        assert!(offset_ms(at(0), at(three_days), at(2 * three_days)) < -AGREE_WITHIN_MS);
    }

    #[test]
    fn a_wrong_clock_is_told_by_how_much_and_on_which_side() {
        let agreement = Agreement::default();
        assert!(agreement.check().is_ok());
        assert!(agreement.found(-3_600_250), "they agreed before");
        assert!(agreement.check().unwrap_err().what.contains("3600.2 s behind the main database's"));
        assert_eq!(agreement.mains(at(-3_600_250)), at(0));
        assert!(!agreement.found(10_000), "they did not");
        assert!(agreement.check().is_ok());
        assert_eq!(agreement.mains(at(10_005)), at(5), "what they differ by is taken off as well");
    }
}
