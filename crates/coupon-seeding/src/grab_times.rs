//! The times of past grabs: quiet nights, busy evenings, and never two results with one id.

use coupon_core::{ResultId, ResultIdError, Timestamp};

use crate::SeedOptions;
use crate::options::DAY_MS;
use crate::random::Stream;

/// The load of each hour of a day, relative to the others.
const HOURS: [u64; 24] = [2, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 4, 3, 3, 3, 4, 5, 8, 12, 12, 8, 5];
const HOUR_MS: u64 = 3_600_000;
const JITTER_BITS: u32 = 16;

/// Generated results come from the last worker number, which a service leases last.
pub(crate) const WORKER: u16 = ResultId::WORKERS - 1;

/// Gives ids in strictly rising order, spread over whole days in the rhythm of [`HOURS`].
pub(crate) struct GrabTimes {
    random: Stream,
    first: Timestamp,
    days: u64,
    rows: u64,
    given: u64,
    last: Timestamp,
    sequence: u16,
}

impl GrabTimes {
    pub(crate) fn new(options: &SeedOptions) -> Self {
        let midnight = options.as_of.day().start();
        Self {
            random: Stream::new(options.seed, "history times"),
            first: midnight.plus_millis(-options.days.cast_signed() * DAY_MS),
            days: options.days,
            rows: options.history,
            given: 0,
            last: Timestamp::default(),
            sequence: 0,
        }
    }

    /// The next id, or `None` when there are as many as wanted.
    pub(crate) fn next(&mut self) -> Result<Option<ResultId>, ResultIdError> {
        if self.given == self.rows {
            return Ok(None);
        }
        let time = self.moment();
        self.given += 1;
        if time > self.last {
            (self.last, self.sequence) = (time, 0);
        } else if self.sequence + 1 < ResultId::SEQUENCES {
            self.sequence += 1;
        } else {
            (self.last, self.sequence) = (self.last.plus_millis(1), 0);
        }
        ResultId::from_parts(self.last, WORKER, self.sequence).map(Some)
    }

    /// Row i of n falls somewhere within the i-th of n equal parts of all the busyness.
    fn moment(&mut self) -> Timestamp {
        let busyness = HOURS.iter().sum::<u64>() * HOUR_MS;
        let jitter = self.random.below(1 << JITTER_BITS);
        let part = (u128::from(self.given) << JITTER_BITS) | u128::from(jitter);
        let passed =
            part * u128::from(self.days) * u128::from(busyness) / (u128::from(self.rows) << JITTER_BITS);
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let (day, mut rest) = (passed / busyness, passed % busyness);
        let mut millis = 0;
        for weight in HOURS {
            if rest < weight * HOUR_MS {
                millis += rest / weight;
                break;
            }
            rest -= weight * HOUR_MS;
            millis += HOUR_MS;
        }
        self.first.plus_millis(day.cast_signed() * DAY_MS + millis.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(history: u64, days: u64) -> Vec<ResultId> {
        let as_of = "2026-11-22T15:00:00Z".parse().unwrap();
        let mut clock = GrabTimes::new(&SeedOptions { history, days, as_of, ..SeedOptions::default() });
        std::iter::from_fn(|| clock.next().unwrap()).collect()
    }

    #[test]
    fn ids_rise_and_fill_the_whole_days_before() {
        let ids = ids(20_000, 3);
        assert_eq!(ids.len(), 20_000);
        assert!(ids.is_sorted_by(|one, next| one < next));
        for day in ["2026-11-19", "2026-11-20", "2026-11-21"] {
            let rows = ids.iter().filter(|id| id.time().day().to_string() == day).count();
            assert!((6_600..=6_733).contains(&rows), "{day}: {rows}");
        }
    }

    #[test]
    fn evenings_are_busier_than_nights() {
        let ids = ids(20_000, 2);
        let at = |hour| ids.iter().filter(|id| id.time().hour().of_day() == hour).count();
        assert!(at(20) > 8 * at(3), "{} {}", at(20), at(3));
    }

    #[test]
    fn more_rows_than_milliseconds_still_get_ids_of_their_own() {
        let as_of = "2026-11-22T00:00:00Z".parse().unwrap();
        let options = SeedOptions { history: 86_400_000, days: 1, as_of, ..SeedOptions::default() };
        let mut clock = GrabTimes::new(&options);
        let ids: Vec<_> = (0..20_000).map(|_| clock.next().unwrap().unwrap()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }
}
