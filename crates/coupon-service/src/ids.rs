//! Result ids: each worker makes its own, in order, without asking anyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use coupon_core::{ResultId, Timestamp};

use crate::clock::Clock;
use crate::unavailable::Unavailable;

/// A clock that fell further behind the last id than this is not waited for: grabs get 503 until it has caught up.
pub(crate) const PATIENCE_MS: i64 = 10_000;

/// A worker number that this process may use for ids of a time, and of no other: what processes that share shards lease
/// from the main database. Leases of one number never overlap, so ids made within them never collide.
#[derive(Debug)]
pub struct Lease {
    /// The worker number.
    pub worker: u16,
    /// No id is of an earlier time.
    start: Timestamp,
    /// No id is of this time or a later one; it moves on while the lease is renewed.
    end_ms: AtomicI64,
    /// The latest time of any id made so far.
    used_ms: AtomicI64,
}

impl Lease {
    /// That number, for that time.
    #[must_use]
    pub const fn new(worker: u16, start: Timestamp, end: Timestamp) -> Self {
        let (end_ms, used_ms) = (AtomicI64::new(end.millis()), AtomicI64::new(start.millis()));
        Self { worker, start, end_ms, used_ms }
    }

    /// Moves its end.
    pub fn extend(&self, end: Timestamp) {
        self.end_ms.fetch_max(end.millis(), Ordering::AcqRel);
    }

    /// The latest time of any id made so far.
    #[must_use]
    pub fn used(&self) -> Timestamp {
        Timestamp::from_millis(self.used_ms.load(Ordering::Acquire))
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.end_ms.load(Ordering::Acquire))
    }
}

/// Where the workers of a process get their ids from.
#[derive(Debug, Clone)]
pub enum IdSource {
    /// This process is the only one: its workers are numbered as they come, and make ids later than this.
    Own {
        /// The latest id that is stored.
        after: Option<ResultId>,
    },
    /// Other processes make ids too.
    Leased(Vec<Arc<Lease>>),
}

impl IdSource {
    /// The ids of a worker of this process, counted from 0. Without a lease it makes none.
    #[must_use]
    pub fn generator(&self, clock: &Clock, worker: u16) -> IdGenerator {
        match self {
            Self::Own { after } => IdGenerator::new(clock.clone(), worker % ResultId::WORKERS, *after),
            Self::Leased(leases) => {
                // A worker that died is replaced by a later one, which goes on where it stopped.
                let lease =
                    usize::from(worker).checked_rem(leases.len()).and_then(|at| leases.get(at)).cloned();
                let ended =
                    || Arc::new(Lease::new(0, coupon_core::RESULT_ID_EPOCH, coupon_core::RESULT_ID_EPOCH));
                IdGenerator::leased(clock.clone(), lease.unwrap_or_else(ended))
            }
        }
    }
}

/// Makes the ids of one worker.
#[derive(Debug)]
pub struct IdGenerator {
    clock: Clock,
    worker: u16,
    lease: Option<Arc<Lease>>,
    last: Timestamp,
    sequence: u16,
}

impl IdGenerator {
    /// Ids of that worker, every one later than `after`.
    #[must_use]
    pub fn new(clock: Clock, worker: u16, after: Option<ResultId>) -> Self {
        let last = after.map_or(coupon_core::RESULT_ID_EPOCH, |id| id.time().plus_millis(1));
        // The first id at `last` itself would be sequence 0; start as if all of that millisecond's were taken.
        Self { clock, worker, lease: None, last, sequence: ResultId::SEQUENCES }
    }

    /// Ids of a leased number, every one of a time within the lease.
    #[must_use]
    pub fn leased(clock: Clock, lease: Arc<Lease>) -> Self {
        let (worker, last) = (lease.worker, lease.used().max(lease.start));
        Self { clock, worker, lease: Some(lease), last, sequence: ResultId::SEQUENCES }
    }

    /// The next id. When the clock has stepped back a little, ids go on from the last one's time.
    ///
    /// # Errors
    /// [`Unavailable`] when the clock shows a time far before the last id, or outside what ids can hold.
    pub fn make(&mut self) -> Result<ResultId, Unavailable> {
        let now = self.clock.now();
        if now > self.last {
            (self.last, self.sequence) = (now, 0);
        } else if self.last.millis() - now.millis() > PATIENCE_MS {
            return Err(Unavailable::new("the clock", "it shows a time well before the latest result's"));
        } else if self.sequence >= ResultId::SEQUENCES {
            (self.last, self.sequence) = (self.last.plus_millis(1), 0);
        }
        if let Some(lease) = &self.lease {
            if self.last >= lease.end() {
                let why = "this process's lease of a worker number has ended, and the main database renews it no more";
                return Err(Unavailable::new("the ids", why));
            }
            lease.used_ms.store(self.last.millis(), Ordering::Release);
        }
        let id = ResultId::from_parts(self.last, self.worker, self.sequence)
            .map_err(|error| Unavailable::new("the clock", error))?;
        self.sequence += 1;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_ascending_when_the_clock_steps_back() {
        let clock = Clock::starting_at("2026-11-22T12:00:10Z".parse().unwrap());
        let mut ids = IdGenerator::new(clock.clone(), 3, None);
        let before = ids.make().unwrap();
        clock.set("2026-11-22T12:00:05Z".parse().unwrap());
        let after = ids.make().unwrap();
        assert!(after > before && after.worker() == 3);
    }

    #[test]
    fn a_clock_that_is_far_behind_makes_no_ids() {
        let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
        let stored = ResultId::from_parts("2026-11-22T13:00:00Z".parse().unwrap(), 0, 0).unwrap();
        assert!(IdGenerator::new(clock, 0, Some(stored)).make().is_err());
    }

    #[test]
    fn a_leased_number_makes_no_id_outside_of_its_lease() {
        let clock = Clock::starting_at("2026-11-22T12:00:05Z".parse().unwrap());
        let (start, end) = ("2026-11-22T12:00:06Z".parse().unwrap(), "2026-11-22T12:00:10Z".parse().unwrap());
        let lease = Arc::new(Lease::new(7, start, end));
        let mut ids = IdSource::Leased(vec![Arc::clone(&lease)]).generator(&clock, 3);
        let first = ids.make().unwrap();
        assert!(first.time() > start && first.worker() == 7);
        clock.set(end);
        assert!(ids.make().is_err());
        lease.extend(end.plus_millis(1_000));
        assert!(ids.make().unwrap() > first && lease.used() >= end);
        // Whoever takes the worker's place goes on after its last id.
        let mut next = IdSource::Leased(vec![lease]).generator(&clock, 4);
        assert!(next.make().unwrap().time() > end);
    }

    #[test]
    fn ids_are_unique_beyond_what_a_millisecond_holds() {
        let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
        let mut ids = IdGenerator::new(clock, 0, None);
        let made: Vec<ResultId> = (0..20_000).map(|_| ids.make().unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }
}
