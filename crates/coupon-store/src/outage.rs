//! One outage in the log: a line when it begins, one a minute while it lasts, and one when it is over, however often
//! something is tried meanwhile.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coupon_core::ShardId;

/// The time between two lines about a lasting outage.
const AGAIN: Duration = Duration::from_secs(60);
/// A request does not say that something works again: an outage that no request has met for so long is over.
const QUIET: Duration = Duration::from_secs(10);

/// The failures so far, to be written beside the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageLine {
    /// The number of failures since it last worked.
    pub failures: u64,
    /// The seconds that it lasted.
    pub lasted_s: u64,
}

/// The outage, if there is one, of what one kind of request needs.
#[derive(Debug)]
pub struct Outage {
    /// A failure that comes so long after the one before it begins another outage.
    quiet: Option<Duration>,
    current: Mutex<Option<Current>>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    began: Instant,
    failed: Instant,
    told: Instant,
    failures: u64,
}

impl Current {
    fn line(&self, now: Instant) -> OutageLine {
        OutageLine { failures: self.failures, lasted_s: now.saturating_duration_since(self.began).as_secs() }
    }
}

impl Outage {
    /// An outage of a task, which says when it works again.
    const fn of_task() -> Self {
        Self { quiet: None, current: Mutex::new(None) }
    }

    /// An outage of requests, which only say that it does not work.
    #[must_use]
    pub const fn of_requests() -> Self {
        Self { quiet: Some(QUIET), current: Mutex::new(None) }
    }

    /// Counts a failure. Says what to write with it, if it is time to write anything.
    pub fn failed(&self) -> Option<OutageLine> {
        self.failed_at(Instant::now())
    }

    /// Ends the outage. Says what to write of it, if there was one.
    fn ended(&self) -> Option<OutageLine> {
        self.ended_at(Instant::now())
    }

    fn failed_at(&self, now: Instant) -> Option<OutageLine> {
        let mut current = self.lock();
        let over = |outage: &Current| {
            self.quiet.is_some_and(|quiet| now.saturating_duration_since(outage.failed) >= quiet)
        };
        let lasting = current.filter(|outage| !over(outage));
        let begins = lasting.is_none();
        let mut outage = lasting.unwrap_or(Current { began: now, failed: now, told: now, failures: 0 });
        outage.failures += 1;
        outage.failed = now;
        let tell = begins || now.saturating_duration_since(outage.told) >= AGAIN;
        if tell {
            outage.told = now;
        }
        *current = Some(outage);
        tell.then(|| outage.line(now))
    }

    fn ended_at(&self, now: Instant) -> Option<OutageLine> {
        self.lock().take().map(|outage| outage.line(now))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outage, if there is one, of what one task needs. The task says of each try how it went, and this writes the log.
#[derive(Debug)]
pub struct TaskOutage {
    outage: Outage,
    shard: Option<ShardId>,
    fails: &'static str,
    works: &'static str,
}

impl TaskOutage {
    /// An outage of a task, with the log's words when it fails and when it works again.
    pub const fn new(fails: &'static str, works: &'static str) -> Self {
        Self { outage: Outage::of_task(), shard: None, fails, works }
    }

    /// An outage of a task that runs once a shard.
    pub const fn of_shard(shard: ShardId, fails: &'static str, works: &'static str) -> Self {
        Self { shard: Some(shard), ..Self::new(fails, works) }
    }

    /// Takes note of how a try went.
    pub fn tried<T, E: Display>(&self, outcome: &Result<T, E>) {
        match outcome {
            Ok(_) => self.worked(),
            Err(error) => self.failed(error),
        }
    }

    /// Takes note of a try that failed.
    pub fn failed(&self, error: &dyn Display) {
        if let Some(OutageLine { failures, lasted_s }) = self.outage.failed() {
            let (shard, error) = (self.shard(), format!("{error:#}"));
            tracing::warn!(shard, error, failures, lasted_s, "{}", self.fails);
        }
    }

    /// Takes note of a try that went well.
    pub fn worked(&self) {
        if let Some(OutageLine { failures, lasted_s }) = self.outage.ended() {
            tracing::info!(shard = self.shard(), failures, lasted_s, "{}", self.works);
        }
    }

    fn shard(&self) -> Option<tracing::field::DisplayValue<ShardId>> {
        self.shard.map(tracing::field::display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn line(failures: u64, lasted_s: u64) -> Option<OutageLine> {
        Some(OutageLine { failures, lasted_s })
    }

    #[test]
    fn an_outage_is_told_of_when_it_begins_once_a_minute_and_when_it_ends() {
        let (outage, start) = (Outage::of_task(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(outage.ended_at(at(0)), None, "there was none");
        let lines: Vec<(u64, OutageLine)> =
            (0..150).filter_map(|second| Some((second, outage.failed_at(at(second))?))).collect();
        let expected = [(0, line(1, 0)), (60, line(61, 60)), (120, line(121, 120))];
        assert_eq!(lines, expected.map(|(second, told)| (second, told.unwrap())));
        assert_eq!(outage.ended_at(at(150)), line(150, 150));
        assert_eq!(outage.ended_at(at(151)), None, "it is told once that it is over");
        assert_eq!(outage.failed_at(at(152)), line(1, 0), "the next one begins anew");
    }

    #[test]
    fn an_outage_that_no_request_has_met_for_a_while_is_over() {
        let (outage, start) = (Outage::of_requests(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(outage.failed_at(at(0)), line(1, 0));
        assert_eq!(outage.failed_at(at(9)), None);
        assert_eq!(outage.failed_at(at(19)), line(1, 0), "another one");
    }

    #[test]
    fn a_task_that_tries_seldom_is_in_the_same_outage_still() {
        let (outage, start) = (Outage::of_task(), Instant::now());
        assert_eq!(outage.failed_at(start), line(1, 0));
        assert_eq!(outage.failed_at(start + Duration::from_secs(30)), None);
        assert_eq!(outage.failed_at(start + Duration::from_secs(90)), line(3, 90));
    }
}
