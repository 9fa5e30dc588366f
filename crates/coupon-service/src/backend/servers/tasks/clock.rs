//! Holds this process's clock against main's: leases and reads go by main's time, and a process whose clock shows another
//! one takes no grabs.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::Timestamp;
use tokio::time::Instant;

use super::super::mains_time;
use super::super::mysql::{Database, DatabaseError};
use super::Background;
use crate::clock::Clock;
use crate::ids::Leased;
use crate::timekeeping::{AGREE_WITHIN_MS, Agreement, offset_ms};

/// How often main is asked for its time.
const EVERY: Duration = Duration::from_secs(60);
/// How often the process looks whether its clock was set, or the machine slept, which needs nobody else; and how often main
/// is asked while the clocks do not agree.
const LOOK: Duration = Duration::from_secs(1);
/// A clock that has run further than this from the time that went by was set.
const STEP_MS: u64 = 2_000;

/// How far this process's clock is ahead of main's, in milliseconds; behind it, if negative.
async fn compare(main: &Database, clock: &Clock) -> Result<i64, DatabaseError> {
    let before = clock.now();
    let told = mains_time::ask(main, clock).await?;
    Ok(offset_ms(before, clock.now(), told))
}

/// Holds the clock against main's before anything is done by it.
pub(in super::super) async fn agree_at_start(
    main: &Database,
    clock: &Clock,
) -> anyhow::Result<Arc<Agreement>> {
    let agreement = Arc::new(Agreement::default());
    agreement.found(compare(main, clock).await?);
    agreement
        .check()
        .map_err(|error| anyhow::anyhow!("{main}: {error}: set this machine's clock, or main's"))?;
    Ok(agreement)
}

/// Compares the clocks once a minute, and whenever this one was set or stood still.
pub(super) async fn keep_comparing(background: Arc<Background>, leased: Arc<Leased>) {
    let (clock, agreement) = (&background.clock, &background.agreement);
    let mut compared = Instant::now();
    let mut steps = Steps::new(clock.now());
    while !background.stopping() {
        tokio::time::sleep(LOOK).await;
        let stepped = steps.stepped(clock.now());
        if stepped {
            // The leases may have ended meanwhile.
            leased.look_again();
        }
        if !stepped && agreement.check().is_ok() && compared.elapsed() < EVERY {
            continue;
        }
        // Without main, what was known last stands; that it is away is told by those who need more of it.
        if let Ok(offset) = compare(&background.cluster.main, clock).await {
            compared = Instant::now();
            note(agreement, offset);
        } else if stepped {
            compared = compared.checked_sub(EVERY).unwrap_or(compared);
        }
    }
}

fn note(agreement: &Agreement, offset_ms: i64) {
    match (agreement.found(offset_ms), agreement.check()) {
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

/// Notices that a clock was set, or that the machine slept, by a second clock that only runs forward.
struct Steps {
    shown: Timestamp,
    at: Instant,
}

impl Steps {
    fn new(now: Timestamp) -> Self {
        Self { shown: now, at: Instant::now() }
    }

    fn stepped(&mut self, now: Timestamp) -> bool {
        let before = std::mem::replace(self, Self::new(now));
        let ran = now.millis() - before.shown.millis();
        let went_by = i64::try_from((self.at - before.at).as_millis()).unwrap_or(i64::MAX);
        ran.abs_diff(went_by) > STEP_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_once() {
        let start = Timestamp::from_millis(1_795_000_000_000);
        let mut steps = Steps::new(start);
        assert!(!steps.stepped(start.plus_millis(500)));
        assert!(steps.stepped(start.plus_millis(3_600_000)));
        assert!(!steps.stepped(start.plus_millis(3_600_500)));
        assert!(steps.stepped(start));
    }
}
