//! The id of a result: unique over all shards, ordered by time, made without asking a database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// 2020-01-01T00:00:00Z, from which the time within a [`ResultId`] counts.
pub const RESULT_ID_EPOCH: Timestamp = Timestamp::from_millis(1_577_836_800_000);

const SEQUENCE_BITS: u32 = 12;
const WORKER_BITS: u32 = 10;
const TIME_BITS: u32 = 41;

/// The reasons why no [`ResultId`] could be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultIdError {
    /// Text that is not a positive 63-bit number.
    #[error("result_id must be a positive whole number of at most 19 digits, not {0:?}")]
    Malformed(String),
    /// A part that does not fit its bits.
    #[error("a result id holds times from 2020 to 2089, workers below 1024 and sequences below 4096")]
    OutOfRange,
}

/// A 63-bit snowflake: 41 bits of milliseconds since [`RESULT_ID_EPOCH`], 10 bits of worker, 12 of sequence.
///
/// Larger than the integers JSON readers hold exactly, so JSON carries it as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultId(i64);

impl ResultId {
    /// The number of workers that can make ids side by side.
    pub const WORKERS: u16 = 1 << WORKER_BITS;
    /// The number of ids that one worker can make in a millisecond.
    pub const SEQUENCES: u16 = 1 << SEQUENCE_BITS;

    /// Builds an id from its parts.
    ///
    /// # Errors
    /// [`ResultIdError::OutOfRange`] when a part does not fit.
    pub fn from_parts(time: Timestamp, worker: u16, sequence: u16) -> Result<Self, ResultIdError> {
        let elapsed = time.millis() - RESULT_ID_EPOCH.millis();
        if !(0..1 << TIME_BITS).contains(&elapsed) || worker >= Self::WORKERS || sequence >= Self::SEQUENCES {
            return Err(ResultIdError::OutOfRange);
        }
        Ok(Self(
            (elapsed << (WORKER_BITS + SEQUENCE_BITS))
                | (i64::from(worker) << SEQUENCE_BITS)
                | i64::from(sequence),
        ))
    }

    /// The smallest id that a moment can have: ids of a window lie from its start's to below its end's. Times that
    /// no id can hold give the nearest that one can.
    #[must_use]
    pub const fn earliest_at(time: Timestamp) -> Self {
        let elapsed = time.millis() - RESULT_ID_EPOCH.millis();
        let last = (1 << TIME_BITS) - 1;
        let elapsed = if elapsed < 0 {
            0
        } else if elapsed > last {
            last
        } else {
            elapsed
        };
        Self(elapsed << (WORKER_BITS + SEQUENCE_BITS))
    }

    /// Reads an id back from its number.
    ///
    /// # Errors
    /// [`ResultIdError::Malformed`] for a negative number.
    pub fn from_number(number: i64) -> Result<Self, ResultIdError> {
        if number < 0 { Err(ResultIdError::Malformed(number.to_string())) } else { Ok(Self(number)) }
    }

    /// The number that databases store.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The time at which the grab was fixed: a result's `grab_time` is exactly this.
    #[must_use]
    pub const fn time(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> (WORKER_BITS + SEQUENCE_BITS)) + RESULT_ID_EPOCH.millis())
    }

    /// The worker that made it.
    #[must_use]
    pub const fn worker(self) -> u16 {
        ((self.0 >> SEQUENCE_BITS) & (Self::WORKERS as i64 - 1)) as u16
    }

    /// Its number within that worker's millisecond.
    #[must_use]
    pub const fn sequence(self) -> u16 {
        (self.0 & (Self::SEQUENCES as i64 - 1)) as u16
    }
}

impl fmt::Display for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ResultId {
    type Err = ResultIdError;

    fn from_str(text: &str) -> Result<Self, ResultIdError> {
        let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
        number.map(Self).ok_or_else(|| ResultIdError::Malformed(text.chars().take(40).collect()))
    }
}

impl Serialize for ResultId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResultId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_a_round_trip() {
        let time = "2026-11-22T15:04:05.123Z".parse().unwrap();
        let id = ResultId::from_parts(time, 1023, 4095).unwrap();
        assert_eq!((id.time(), id.worker(), id.sequence()), (time, 1023, 4095));
        assert_eq!(id.to_string().parse::<ResultId>().unwrap(), id);
    }

    #[test]
    fn a_later_id_is_a_larger_number() {
        let time = RESULT_ID_EPOCH.plus_millis(1);
        let earlier = ResultId::from_parts(RESULT_ID_EPOCH, 1023, 4095).unwrap();
        assert!(earlier < ResultId::from_parts(time, 0, 0).unwrap());
    }

    #[test]
    fn a_moments_ids_lie_between_its_earliest_and_the_next_ones() {
        let time: Timestamp = "2026-11-22T15:04:05.123Z".parse().unwrap();
        let last = ResultId::from_parts(time, 1023, 4095).unwrap();
        assert_eq!(ResultId::earliest_at(time), ResultId::from_parts(time, 0, 0).unwrap());
        assert!(last < ResultId::earliest_at(time.plus_millis(1)));
        assert_eq!(ResultId::earliest_at(Timestamp::from_millis(0)).number(), 0);
        assert!(ResultId::earliest_at(Timestamp::MAX) > last);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert_eq!(ResultId::from_parts(Timestamp::from_millis(0), 0, 0), Err(ResultIdError::OutOfRange));
        assert_eq!(ResultId::from_parts(RESULT_ID_EPOCH, 1024, 0), Err(ResultIdError::OutOfRange));
        assert_eq!(ResultId::from_parts(RESULT_ID_EPOCH, 0, 4096), Err(ResultIdError::OutOfRange));
        assert!("9223372036854775808".parse::<ResultId>().is_err());
        assert!("-1".parse::<ResultId>().is_err());
    }
}
