//! Instants, days and hours, always UTC, so that a daily table means the same thing everywhere.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MILLIS_PER_HOUR: i64 = 3_600_000;
const HOURS_PER_DAY: i64 = 24;

/// Text or a number that is no moment this system can store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: give RFC 3339, for example 2026-11-22T15:04:05.123Z")]
pub struct TimeError(String);

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. JSON carries it as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment of the year 9998, the latest that fits every date format used here.
    pub const MAX: Self = Self(253_370_764_799_999);

    /// A moment by its milliseconds since 1970, held within 1970 and [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The moment so many milliseconds later (earlier, if negative).
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// The UTC day it falls on.
    #[must_use]
    pub const fn day(self) -> Day {
        Day(self.hour().0.div_euclid(HOURS_PER_DAY))
    }

    /// The UTC hour it falls in.
    #[must_use]
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(MILLIS_PER_HOUR))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day().date();
        let millis = self.0.rem_euclid(HOURS_PER_DAY * MILLIS_PER_HOUR);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60);
        write!(f, "{day}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1_000)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bad = || TimeError(text.chars().take(60).collect());
        let millis = text.parse::<jiff::Timestamp>().map_err(|_| bad())?.as_millisecond();
        if (0..=Self::MAX.0).contains(&millis) { Ok(Self(millis)) } else { Err(bad()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day so many days after 1970-01-01.
    #[must_use]
    pub const fn new(days_since_1970: i64) -> Self {
        Self(days_since_1970)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Midnight UTC at its beginning.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0 * HOURS_PER_DAY * MILLIS_PER_HOUR)
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn date(self) -> Date {
        let start = jiff::Timestamp::from_millisecond(self.start().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        jiff::tz::Offset::UTC.to_datetime(start).date()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl FromStr for Day {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bad = || TimeError(text.chars().take(60).collect());
        text.parse::<Date>().map_err(|_| bad())?;
        Ok(format!("{text}T00:00:00Z").parse::<Timestamp>().map_err(|_| bad())?.day())
    }
}

/// A UTC hour, counted from 1970-01-01T00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour so many hours after 1970 began.
    #[must_use]
    pub const fn new(hours_since_1970: i64) -> Self {
        Self(hours_since_1970)
    }

    /// Hours since 1970 began.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The moment it begins.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0 * MILLIS_PER_HOUR)
    }

    /// The hour after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The day it belongs to.
    #[must_use]
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(HOURS_PER_DAY))
    }

    /// Its number within that day, 0 to 23.
    #[must_use]
    pub const fn of_day(self) -> i64 {
        self.0.rem_euclid(HOURS_PER_DAY)
    }
}

/// The moments from `start` up to, but not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment within.
    pub start: Timestamp,
    /// The first moment after.
    pub end: Timestamp,
}

impl TimeRange {
    /// The moments from `start` up to, but not including, `end`; empty when `end` is not later.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Just this moment.
    #[must_use]
    pub const fn at(moment: Timestamp) -> Self {
        Self { start: moment, end: moment.plus_millis(1) }
    }

    /// True when the moment lies within.
    #[must_use]
    pub fn contains(self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    /// True when no moment lies within.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The days touched, oldest first.
    pub fn days(self) -> impl Iterator<Item = Day> {
        let last = if self.is_empty() { self.start.day().0 } else { self.end.plus_millis(-1).day().0 + 1 };
        (self.start.day().0..last).map(Day)
    }

    /// The hours touched, oldest first.
    pub fn hours(self) -> impl Iterator<Item = Hour> {
        let last = if self.is_empty() { self.start.hour().0 } else { self.end.plus_millis(-1).hour().0 + 1 };
        (self.start.hour().0..last).map(Hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["1970-01-01T00:00:00.000Z", "2026-11-22T23:59:59.999Z", "2028-02-29T12:00:00.001Z"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("2026-11-22T01:00:00+02:00"), at("2026-11-21T23:00:00Z"));
    }

    #[test]
    fn a_time_out_of_range_is_refused() {
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(0));
    }

    #[test]
    fn the_day_changes_at_midnight_at_month_and_year_ends() {
        for (last, day, next) in [
            ("2026-11-22T23:59:59.999Z", "2026-11-22", "2026-11-23"),
            ("2026-11-30T23:59:59.999Z", "2026-11-30", "2026-12-01"),
            ("2026-12-31T23:59:59.999Z", "2026-12-31", "2027-01-01"),
            ("2028-02-28T23:59:59.999Z", "2028-02-28", "2028-02-29"),
        ] {
            assert_eq!(at(last).day().to_string(), day);
            assert_eq!(at(last).plus_millis(1).day().to_string(), next);
            assert_eq!(at(last).plus_millis(1), at(last).day().next().start());
        }
    }

    #[test]
    fn a_window_touches_both_days_only_when_it_crosses_midnight() {
        let midnight = at("2026-11-22T00:00:00Z");
        let hour = 3_600_000;
        assert_eq!(TimeRange::new(midnight.plus_millis(-hour), midnight).days().count(), 1);
        assert_eq!(TimeRange::new(midnight.plus_millis(-hour), midnight.plus_millis(1)).days().count(), 2);
        assert_eq!(TimeRange::new(midnight, midnight).days().count(), 0);
        assert_eq!(TimeRange::at(midnight).hours().count(), 1);
    }
}
