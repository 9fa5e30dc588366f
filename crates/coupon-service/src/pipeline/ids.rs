//! Result ids: each worker makes its own, in order, without asking anyone.

use coupon_core::{ResultId, Timestamp};

use crate::backend::Unavailable;
use crate::clock::Clock;

/// A clock that fell further behind the last id than this is not waited for: grabs get 503 until it has caught up.
pub(crate) const PATIENCE_MS: i64 = 10_000;

/// Makes the ids of one worker.
#[derive(Debug)]
pub struct IdGenerator {
    clock: Clock,
    worker: u16,
    last: Timestamp,
    sequence: u16,
}

impl IdGenerator {
    /// Ids of that worker, every one later than `after`.
    #[must_use]
    pub fn new(clock: Clock, worker: u16, after: Option<ResultId>) -> Self {
        let last = after.map_or(coupon_core::RESULT_ID_EPOCH, |id| id.time().plus_millis(1));
        // The first id at `last` itself would be sequence 0; start as if all of that millisecond's were taken.
        Self { clock, worker, last, sequence: ResultId::SEQUENCES }
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
    fn ids_are_unique_beyond_what_a_millisecond_holds() {
        let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
        let mut ids = IdGenerator::new(clock, 0, None);
        let made: Vec<ResultId> = (0..20_000).map(|_| ids.make().unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }
}
