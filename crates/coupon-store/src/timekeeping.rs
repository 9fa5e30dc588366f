//! The difference between this process's clock and the main database's, whose time all processes go by.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coupon_core::Timestamp;
use tokio::time::Instant;

use crate::unavailable::Unavailable;

/// Clocks that are further apart than this do not agree.
pub const AGREE_WITHIN_MS: i64 = 10_000;

/// An answer that takes longer than this is slow: half of it is more than clocks drift apart between two comparisons.
const SLOW_MS: i64 = 1_000;

/// Of two clocks that run, one gains less than one part of so many on the other.
const UNLIKE: i64 = 1_000;

/// The difference between this process's clock and main's when they were last compared. Before that, they agree.
#[derive(Debug, Default)]
pub struct ClockOffset {
    offset_ms: AtomicI64,
    /// Main's time as it was heard last, and the moment when it was.
    heard: Mutex<Option<(Timestamp, Instant)>>,
}

impl ClockOffset {
    /// Takes note of how far this process's clock is ahead of main's, in milliseconds; behind it, if negative. Says
    /// whether they agreed before.
    pub fn found(&self, offset_ms: i64) -> bool {
        agree(self.offset_ms.swap(offset_ms, Ordering::Relaxed))
    }

    /// The milliseconds by which this process's clock was ahead of main's when they were last compared.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Says by how much the clocks are apart, if they do not agree.
    pub fn check(&self) -> Result<(), Unavailable> {
        let offset = self.offset_ms();
        if agree(offset) {
            return Ok(());
        }
        // /readyz says only what is missing, so by how much is part of that; the reason goes to the log.
        let most = AGREE_WITHIN_MS / 1_000;
        Err(Unavailable::new(apart(offset), format!("it may be {most} s from it at most")))
    }

    /// Takes note of what main has just said of its time.
    pub fn heard(&self, told: Timestamp) {
        *self.last_heard() = Some((told, Instant::now()));
    }

    /// A time that main has reached, though it does not answer: what it said last and what has gone by since, less what its clock
    /// may have lost on that, and less what the clock of a server that takes its place may be behind. None before it was heard.
    ///
    /// The clock that shows the time of day has no part in it: it may have been set meanwhile.
    pub fn mains_at_least(&self) -> Option<Timestamp> {
        let (told, at) = (*self.last_heard())?;
        let since = i64::try_from(at.elapsed().as_millis()).unwrap_or(0);
        Some(told.plus_millis(since - since / UNLIKE - AGREE_WITHIN_MS))
    }

    fn last_heard(&self) -> MutexGuard<'_, Option<(Timestamp, Instant)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Main's time, as far as it is known: what this process's clock shows, less what it is known to be wrong by.
    pub fn mains(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-self.offset_ms())
    }
}

const fn agree(offset_ms: i64) -> bool {
    offset_ms.unsigned_abs() <= AGREE_WITHIN_MS.unsigned_abs()
}

/// A duration in milliseconds as people read it, in seconds.
pub fn seconds(millis: i64) -> String {
    let millis = millis.unsigned_abs();
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

fn apart(offset_ms: i64) -> String {
    let side = if offset_ms > 0 { "ahead of" } else { "behind" };
    format!("this process's clock ({} {side} the main database's)", seconds(offset_ms))
}

/// A comparison of a clock with main's, which showed a time at some moment between two that the clock showed.
#[derive(Debug, Clone, Copy)]
pub struct ClockComparison {
    first_ms: i64,
    last_ms: i64,
    main_ms: i64,
}

impl ClockComparison {
    /// The clock showed `before` when main was asked, and `after` when it had said `main`.
    pub fn new(before: Timestamp, after: Timestamp, main: Timestamp) -> Self {
        let (first, last) = (before.min(after), before.max(after));
        Self { first_ms: first.millis(), last_ms: last.millis(), main_ms: main.millis() }
    }

    /// The time that main said.
    pub const fn mains_time(&self) -> Timestamp {
        Timestamp::from_millis(self.main_ms)
    }

    /// The time that the answer took.
    const fn took_ms(&self) -> i64 {
        self.last_ms - self.first_ms
    }

    /// The one of both whose answer was quicker: a connection that has to be made, or a server that is held up, is no part
    /// of how far the clocks are apart.
    pub const fn or_quicker(self, other: Self) -> Self {
        if other.took_ms() < self.took_ms() { other } else { self }
    }

    /// The lead of the clock over main's, in milliseconds, where it was known to be `known_ms`. A quick answer came halfway,
    /// as the best estimate. A slow one, as over a new connection or when the machine was suspended meanwhile, says less
    /// than what is known: it corrects that only by what it proves.
    pub fn offset_ms(&self, known_ms: i64) -> i64 {
        let (least, most) = (self.first_ms - self.main_ms, self.last_ms - self.main_ms);
        if self.took_ms() > SLOW_MS { known_ms.clamp(least, most) } else { least.midpoint(most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }

    #[test]
    fn half_the_round_trip_is_taken_off() {
        for known in [0, 700, -3_600_000] {
            let offset = |before, after, main| ClockComparison::new(before, after, main).offset_ms(known);
            assert_eq!(offset(at(0), at(40), at(20)), 0);
            assert_eq!(offset(at(3_600_000), at(3_600_040), at(20)), 3_600_000);
            assert_eq!(offset(at(-20_000), at(-20_000), at(0)), -20_000);
        }
    }

    #[test]
    fn the_quicker_of_two_answers_counts() {
        let (slow, quick) =
            (ClockComparison::new(at(0), at(900), at(890)), ClockComparison::new(at(901), at(903), at(902)));
        for quicker in [slow.or_quicker(quick), quick.or_quicker(slow)] {
            assert_eq!((quicker.took_ms(), quicker.offset_ms(0)), (2, 0));
        }
    }

    #[test]
    fn a_slow_answer_leaves_what_is_known_unless_it_disproves_it() {
        // All of it went by before main was asked: halfway would be wrong by two seconds.
        let slow = ClockComparison::new(at(0), at(4_000), at(4_000));
        assert_eq!((slow.took_ms(), slow.offset_ms(0), slow.offset_ms(-300)), (4_000, 0, -300));
        assert_eq!(slow.offset_ms(2), 0, "by as much as it proves");
        assert_eq!(slow.offset_ms(3_600_000), 0);
        let main_was_set = ClockComparison::new(at(0), at(4_000), at(3_600_000));
        assert_eq!(main_was_set.offset_ms(0), -3_596_000);
    }

    #[test]
    fn a_machine_that_slept_between_question_and_answer_is_not_called_wrong_for_it() {
        let three_days = 3 * 86_400_000;
        let offset = |main| ClockComparison::new(at(0), at(three_days), main).offset_ms(0);
        assert_eq!(offset(at(5)), 0);
        assert_eq!(offset(at(three_days)), 0);
        assert!(offset(at(2 * three_days)) < -AGREE_WITHIN_MS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_main_has_reached_is_never_ahead_of_it_though_its_clock_loses_on_others() {
        let clock_offset = ClockOffset::default();
        assert_eq!(clock_offset.mains_at_least(), None);
        clock_offset.heard(at(0));
        assert_eq!(clock_offset.mains_at_least(), Some(at(-AGREE_WITHIN_MS)));
        tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
        assert_eq!(clock_offset.mains_at_least(), Some(at(3_600_000 - 3_600 - AGREE_WITHIN_MS)));
    }

    #[test]
    fn a_wrong_clock_is_told_by_how_much_and_on_which_side() {
        let clock_offset = ClockOffset::default();
        assert!(clock_offset.check().is_ok());
        assert!(clock_offset.found(-3_600_250), "they agreed before");
        assert!(clock_offset.check().unwrap_err().what.contains("3600.2 s behind the main database's"));
        assert_eq!(clock_offset.mains(at(-3_600_250)), at(0));
        assert!(!clock_offset.found(10_000), "they did not");
        assert!(clock_offset.check().is_ok());
        assert_eq!(clock_offset.mains(at(10_005)), at(5), "what they differ by is taken off as well");
    }
}
