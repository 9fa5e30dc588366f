//! Holds this process's clock against main's: leases and reads go by main's time, and a process whose clock shows
//! another one takes no grabs.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::Timestamp;
use coupon_store::clock::Clock;
use coupon_store::ids::Leased;
use coupon_store::timekeeping::{AGREE_WITHIN_MS, ClockComparison, ClockOffset};
use tokio::time::Instant;

use super::background::Background;
use crate::seam::{DatabaseError, MainServer};

/// The time between two questions to main for its time.
const EVERY: Duration = Duration::from_secs(60);
/// The time between two looks whether the clock was set, or the machine slept, which needs no server; and between two
/// questions to main while the clocks do not agree.
const LOOK: Duration = Duration::from_secs(1);
/// The questions of one comparison: the first may have to make a connection, and any may be held up.
const QUESTIONS: usize = 3;
/// A clock that has run further than this from the time that went by was set.
const STEP_MS: u64 = 2_000;

/// Compares this process's clock with main's, by the quickest of the answers to some questions.
async fn compare(main: &dyn MainServer, clock: &Clock) -> Result<ClockComparison, DatabaseError> {
    let mut quickest = question(main, clock).await?;
    for _ in 1..QUESTIONS {
        // Where main has gone away meanwhile, what it said before stands.
        let Ok(next) = question(main, clock).await else { break };
        quickest = quickest.or_quicker(next);
    }
    Ok(quickest)
}

async fn question(main: &dyn MainServer, clock: &Clock) -> Result<ClockComparison, DatabaseError> {
    let before = clock.now();
    let told = main.time().await?;
    Ok(ClockComparison::new(before, clock.now(), told))
}

/// Holds the clock against main's before anything is done by it.
pub(crate) async fn agree_at_start(main: &dyn MainServer, clock: &Clock) -> anyhow::Result<Arc<ClockOffset>> {
    let clock_offset = Arc::new(ClockOffset::default());
    let compared = compare(main, clock).await?;
    clock_offset.heard(compared.mains_time());
    clock_offset.found(compared.offset_ms(clock_offset.offset_ms()));
    clock_offset
        .check()
        .map_err(|error| anyhow::anyhow!("{}: {error}: set this machine's clock, or main's", main.name()))?;
    Ok(clock_offset)
}

/// Compares the clocks once a minute, and whenever this one was set or stood still.
pub(super) async fn keep_comparing(background: Arc<Background>, leased: Arc<Leased>) {
    let (clock, clock_offset) = (&background.time.clock, &background.time.clock_offset);
    let mut compared = Instant::now();
    let mut steps = Steps::new(clock);
    while !background.signals.stopping() {
        tokio::time::sleep(LOOK).await;
        let stepped = steps.stepped(clock);
        if stepped.is_some() {
            // The leases may have ended meanwhile.
            leased.look_again();
        }
        if stepped.is_none() && clock_offset.check().is_ok() && compared.elapsed() < EVERY {
            continue;
        }
        // Without main, the last known offset stands, and what this clock has been set by since; tasks that need main
        // report that it is away.
        let known = corrected(clock_offset, stepped.unwrap_or(0));
        if let Ok(comparison) = compare(&*background.main, clock).await {
            compared = Instant::now();
            clock_offset.heard(comparison.mains_time());
            note(clock_offset, comparison.offset_ms(known));
        } else if stepped.is_some() {
            compared = compared.checked_sub(EVERY).unwrap_or(compared);
            note(clock_offset, known);
        }
    }
}

/// The lead of this clock over main's, as far as is known without asking, once it was set.
fn corrected(clock_offset: &ClockOffset, set_by_ms: i64) -> i64 {
    clock_offset.offset_ms().saturating_add(set_by_ms)
}

fn note(clock_offset: &ClockOffset, offset_ms: i64) {
    match (clock_offset.found(offset_ms), clock_offset.check()) {
        (true, Err(error)) => {
            tracing::error!(%error, "the clock is wrong: grabs are answered with 503 until it agrees again");
        }
        (false, Ok(())) => {
            tracing::info!(
                offset_ms,
                within_ms = AGREE_WITHIN_MS,
                "the clock agrees with the main database's again"
            );
        }
        _ => {}
    }
}

/// Notices that a clock was set, or that the machine slept, by two others that only run forward: one that stands still
/// while the machine sleeps, and one that runs on.
struct Steps {
    shown: Timestamp,
    at: Instant,
    since_boot_ms: i64,
}

impl Steps {
    fn new(clock: &Clock) -> Self {
        Self { shown: clock.now(), at: Instant::now(), since_boot_ms: clock.since_boot_ms() }
    }

    /// The milliseconds by which the clock was set since the last look, if it was, or the machine slept. A clock that ran on
    /// while the machine slept was not set: it shows what main's does as well as it did before.
    fn stepped(&mut self, clock: &Clock) -> Option<i64> {
        let before = std::mem::replace(self, Self::new(clock));
        let ran = self.shown.millis() - before.shown.millis();
        let went_by = i64::try_from((self.at - before.at).as_millis()).unwrap_or(i64::MAX);
        let set_by = ran - (self.since_boot_ms - before.since_boot_ms);
        (ran.abs_diff(went_by) > STEP_MS).then_some(set_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if both are as near to each other as a test can demand that waits for the machine.
    fn about(set_by: Option<i64>, expected: i64) -> bool {
        set_by.is_some_and(|set_by| set_by.abs_diff(expected) < 60_000)
    }

    fn start() -> Clock {
        Clock::starting_at(Timestamp::from_millis(1_795_000_000_000))
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_once_and_by_how_much() {
        let clock = start();
        let mut steps = Steps::new(&clock);
        assert_eq!(steps.stepped(&clock), None);
        clock.set_wrong_by(3_600_000);
        assert!(about(steps.stepped(&clock), 3_600_000));
        assert_eq!(steps.stepped(&clock), None);
        clock.set_wrong_by(0);
        assert!(about(steps.stepped(&clock), -3_600_000));
    }

    #[test]
    fn a_machine_that_slept_is_noticed_and_its_clock_was_not_set() {
        let clock = start();
        let mut steps = Steps::new(&clock);
        clock.set_wrong_by(3_600_000);
        steps.since_boot_ms -= 3_600_000;
        assert!(about(steps.stepped(&clock), 0));
    }

    #[test]
    fn an_offset_that_is_gone_dates_nothing_while_main_cannot_be_asked() {
        let (clock, clock_offset, ahead) = (start(), ClockOffset::default(), 3_600_000);
        clock.set_wrong_by(ahead);
        note(&clock_offset, ahead);
        let mut steps = Steps::new(&clock);
        clock.set_wrong_by(0);
        let set_by = steps.stepped(&clock).unwrap();
        note(&clock_offset, corrected(&clock_offset, set_by));
        assert!(clock_offset.check().is_ok(), "its clock was put right");
        clock.set_wrong_by(-ahead);
        let set_by = steps.stepped(&clock).unwrap();
        note(&clock_offset, corrected(&clock_offset, set_by));
        assert!(clock_offset.check().is_err(), "and then wrong again");
        let right = clock.now().plus_millis(ahead);
        assert!(clock_offset.mains(clock.now()).millis().abs_diff(right.millis()) < 60_000);
    }
}
