//! Times as other systems write them.

mod civil;
mod detection;

use anyhow::Context as _;
use coupon_core::Timestamp;
use coupon_measure::format::counted;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use civil::Civil;
pub(super) use detection::Detection;

/// The formats of times in files. Without an offset they are UTC, or of the zone that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeFormat {
    /// 2026-11-22T15:04:05.123+08:00, or with UTC, GMT, +0800 or [Asia/Shanghai] behind it
    Rfc3339,
    /// 20261122, a day alone
    #[value(name = "yyyymmdd")]
    Compact,
    /// 2026-11-22, 2026-11-22 15 or 2026-11-22 15:04:05 (a T between them will do), without an offset
    Date,
    /// 22/11/2026 or 22.11.2026 15:04:05, the day before the month (also 3/1/2026 9:05), without an offset
    #[value(name = "dd/mm/yyyy")]
    DayFirst,
    /// 11/22/2026 or 11-22-2026 15:04:05, the month before the day (also 1/3/2026 9:05), without an offset
    #[value(name = "mm/dd/yyyy")]
    MonthFirst,
    /// 1795359845, seconds since 1970; a fraction may follow, as in all that are numbers
    EpochS,
    /// 1795359845123, milliseconds since 1970
    EpochMs,
    /// 1795359845123456, microseconds since 1970
    EpochUs,
    /// 1795359845123456789, nanoseconds since 1970
    EpochNs,
    /// 0, 1, 2, …: seconds since the trace began
    Seconds,
}

/// The part of a time that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Precision {
    /// The moment.
    #[default]
    Moment,
    /// The hour.
    Hour,
    /// The day.
    Day,
}

impl Precision {
    /// The milliseconds over which a time may be anywhere.
    pub(super) const fn millis(self) -> u64 {
        match self {
            Self::Moment => 0,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// The zone of that name, such as `Asia/Shanghai`, or of a fixed offset, such as `+08:00`.
///
/// # Errors
/// When there is none.
pub fn time_zone(name: &str) -> anyhow::Result<TimeZone> {
    let known = civil::zone(name.trim()).or_else(|| TimeZone::get(name.trim()).ok());
    known.with_context(|| format!("{name:?} is no time zone; it is written as Asia/Shanghai, +08:00 or UTC"))
}

/// A time as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    pub(super) precision: Precision,
    /// True for a midnight: where all are, they are days written as moments.
    pub(super) is_midnight: bool,
}

/// 1973 to 2100: a number outside is no time unless the format was given.
const PLAUSIBLE_S: std::ops::Range<i128> = 100_000_000..4_102_444_800;

impl TimeFormat {
    const ALL: [Self; 10] = [
        Self::Rfc3339,
        Self::Compact,
        Self::Date,
        Self::DayFirst,
        Self::MonthFirst,
        Self::EpochS,
        Self::EpochMs,
        Self::EpochUs,
        Self::EpochNs,
        Self::Seconds,
    ];

    /// The spelling for `--time-format`.
    const fn name(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Compact => "yyyymmdd",
            Self::Date => "date",
            Self::DayFirst => "dd/mm/yyyy",
            Self::MonthFirst => "mm/dd/yyyy",
            Self::EpochS => "epoch-s",
            Self::EpochMs => "epoch-ms",
            Self::EpochUs => "epoch-us",
            Self::EpochNs => "epoch-ns",
            Self::Seconds => "seconds",
        }
    }

    /// True for formats that may have a time of day, and never a zone.
    pub(super) const fn is_civil(self) -> bool {
        matches!(self, Self::Date | Self::DayFirst | Self::MonthFirst)
    }

    /// The format in which the same text may be another day.
    const fn twin(self) -> Option<Self> {
        match self {
            Self::DayFirst => Some(Self::MonthFirst),
            Self::MonthFirst => Some(Self::DayFirst),
            _ => None,
        }
    }

    /// The nanoseconds of its unit, if it counts any.
    const fn unit(self) -> Option<i128> {
        match self {
            Self::EpochS | Self::Seconds => Some(1_000_000_000),
            Self::EpochMs => Some(1_000_000),
            Self::EpochUs => Some(1_000),
            Self::EpochNs => Some(1),
            Self::Rfc3339 | Self::Compact | Self::Date | Self::DayFirst | Self::MonthFirst => None,
        }
    }

    /// True when a text is likely to be of this kind: any number could be a time.
    fn suits(self, text: &str) -> bool {
        match self {
            Self::Rfc3339 => Civil::read(text).is_some_and(|civil| civil::zone(civil.zone).is_some()),
            Self::Compact => Civil::compact(text).is_some(),
            Self::Date => Civil::read(text).is_some_and(|civil| civil.zone.is_empty()),
            Self::DayFirst => Civil::day_first(text).is_some(),
            Self::MonthFirst => Civil::month_first(text).is_some(),
            Self::EpochS | Self::EpochMs | Self::EpochUs | Self::EpochNs => {
                self.nanos(text).is_some_and(|nanos| PLAUSIBLE_S.contains(&nanos.div_euclid(1_000_000_000)))
            }
            Self::Seconds => {
                self.nanos(text).is_some_and(|nanos| (0..PLAUSIBLE_S.start * 1_000_000_000).contains(&nanos))
            }
        }
    }

    /// A number of its unit, in nanoseconds.
    fn nanos(self, text: &str) -> Option<i128> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        if unsigned.is_empty() || unsigned.len() > 20 || !digits(unsigned) || !digits(fraction) {
            return None;
        }
        let unit = self.unit()?;
        let part = i128::from(civil::nanos(fraction)?) * unit / 1_000_000_000;
        let whole: i128 = whole.parse().ok()?;
        Some(whole * unit + if text.starts_with('-') { -part } else { part })
    }
}

/// Reads the times of a file.
#[derive(Debug, Clone)]
pub(super) struct Times {
    format: TimeFormat,
    zone: TimeZone,
    /// Civil times that there were twice when clocks were set back, and the first of them.
    twice: (u64, String),
    /// Civil times that there never were since clocks were set forward, and the first of them.
    never: (u64, String),
}

impl Times {
    pub(super) fn new(format: TimeFormat, zone: Option<&TimeZone>) -> Self {
        let zone = zone.cloned().unwrap_or(TimeZone::UTC);
        Self { format, zone, twice: (0, String::new()), never: (0, String::new()) }
    }

    pub(super) const fn format(&self) -> TimeFormat {
        self.format
    }

    /// Reads a time, if it is one of this kind. Numbers that are plainly of another unit are not.
    pub(super) fn read(&mut self, text: &str) -> Option<Moment> {
        match self.format {
            TimeFormat::Rfc3339 => {
                let civil = Civil::read(text)?;
                let zone = civil::zone(civil.zone)?;
                moment(&civil, zone.to_ambiguous_timestamp(civil.at).compatible().ok()?)
            }
            TimeFormat::Compact => self.local(&Civil::compact(text)?),
            TimeFormat::Date => self.local(&Civil::read(text).filter(|civil| civil.zone.is_empty())?),
            TimeFormat::DayFirst => self.local(&Civil::day_first(text)?),
            TimeFormat::MonthFirst => self.local(&Civil::month_first(text)?),
            number => {
                let others =
                    [TimeFormat::EpochS, TimeFormat::EpochMs, TimeFormat::EpochUs, TimeFormat::EpochNs];
                if !number.suits(text) && others.iter().any(|other| other.suits(text)) {
                    return None;
                }
                let millis = i64::try_from(number.nanos(text)?.div_euclid(1_000_000)).ok()?;
                let time = checked(millis)?;
                let is_midnight = time == time.day().start();
                Some(Moment { time, precision: Precision::Moment, is_midnight })
            }
        }
    }

    /// A time of the file's own zone.
    fn local(&mut self, civil: &Civil<'_>) -> Option<Moment> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil.at);
        let counted = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => None,
            AmbiguousOffset::Fold { .. } => Some(&mut self.twice),
            AmbiguousOffset::Gap { .. } => Some(&mut self.never),
        };
        if let Some((count, first)) = counted {
            if *count == 0 {
                *first = civil.at.to_string();
            }
            *count += 1;
        }
        moment(civil, ambiguous.compatible().ok()?)
    }

    /// Notes about times that are not as in the file.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let ((twice, first), (never, missed)) = (&self.twice, &self.never);
        if *twice > 0 {
            notes.push(format!(
                "{} with a local time of an hour that there was twice, when clocks were set back (such as {first}): the first \
                 of the two is taken",
                counted(*twice, "line"),
            ));
        }
        if *never > 0 {
            notes.push(format!(
                "{} with a local time that there never was, since clocks were set forward (such as {missed}): as much later \
                 is taken",
                counted(*never, "line"),
            ));
        }
        notes
    }
}

fn moment(civil: &Civil<'_>, at: jiff::Timestamp) -> Option<Moment> {
    let time = checked(at.as_millisecond())?;
    Some(Moment { time, precision: civil.precision, is_midnight: is_midnight(civil.at) })
}

fn is_midnight(at: DateTime) -> bool {
    at.time() == jiff::civil::Time::midnight()
}

fn checked(millis: i64) -> Option<Timestamp> {
    let time = Timestamp::from_millis(millis);
    (time.millis() == millis).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(texts: &[&str]) -> anyhow::Result<TimeFormat> {
        let mut detection = Detection::default();
        texts.iter().for_each(|text| detection.add(text));
        detection.format("when")
    }

    fn read(format: TimeFormat, text: &str) -> Option<(String, Precision)> {
        Times::new(format, None).read(text).map(|moment| (moment.time.to_string(), moment.precision))
    }

    #[test]
    fn each_kind_is_told_from_the_others_and_read() {
        use Precision::{Day, Hour};
        let moment = Precision::Moment;
        for (text, format, time, precision) in [
            ("2026-11-22T15:04:05+01:00", TimeFormat::Rfc3339, "2026-11-22T14:04:05.000Z", moment),
            ("2019-10-01 00:00:00 UTC", TimeFormat::Rfc3339, "2019-10-01T00:00:00.000Z", moment),
            ("2019-10-01 00:00:00 GMT", TimeFormat::Rfc3339, "2019-10-01T00:00:00.000Z", moment),
            ("2019-10-01 00:00:00[UTC]", TimeFormat::Rfc3339, "2019-10-01T00:00:00.000Z", moment),
            ("2019-10-01 00:00:00 +0800", TimeFormat::Rfc3339, "2019-09-30T16:00:00.000Z", moment),
            ("2019-10-01T00:00:00.5+08", TimeFormat::Rfc3339, "2019-09-30T16:00:00.500Z", moment),
            (
                "2019-10-01T00:00+02:00[Europe/Berlin]",
                TimeFormat::Rfc3339,
                "2019-09-30T22:00:00.000Z",
                moment,
            ),
            ("2019-10-01T00:00[Europe/Berlin]", TimeFormat::Rfc3339, "2019-09-30T22:00:00.000Z", moment),
            ("20160228", TimeFormat::Compact, "2016-02-28T00:00:00.000Z", Day),
            ("2016-02-28", TimeFormat::Date, "2016-02-28T00:00:00.000Z", Day),
            ("2014-12-06 02", TimeFormat::Date, "2014-12-06T02:00:00.000Z", Hour),
            ("2016-02-28 13:14:15", TimeFormat::Date, "2016-02-28T13:14:15.000Z", moment),
            ("2016/02/28 13:14:15.25", TimeFormat::Date, "2016-02-28T13:14:15.250Z", moment),
            ("2016-02-28T13:14", TimeFormat::Date, "2016-02-28T13:14:00.000Z", moment),
            ("28/02/2016", TimeFormat::DayFirst, "2016-02-28T00:00:00.000Z", Day),
            ("28.2.2016 9:05", TimeFormat::DayFirst, "2016-02-28T09:05:00.000Z", moment),
            ("12/28/2010 8:26", TimeFormat::MonthFirst, "2010-12-28T08:26:00.000Z", moment),
            ("02-28-2016 13:14:15.5", TimeFormat::MonthFirst, "2016-02-28T13:14:15.500Z", moment),
            ("2/28/2016 1:14:15 PM", TimeFormat::MonthFirst, "2016-02-28T13:14:15.000Z", moment),
            ("2/28/2016 1 PM", TimeFormat::MonthFirst, "2016-02-28T13:00:00.000Z", Hour),
            ("2/28/2016 12:14 am", TimeFormat::MonthFirst, "2016-02-28T00:14:00.000Z", moment),
            ("1456665255", TimeFormat::EpochS, "2016-02-28T13:14:15.000Z", moment),
            ("1456665255.5", TimeFormat::EpochS, "2016-02-28T13:14:15.500Z", moment),
            ("1456665255123", TimeFormat::EpochMs, "2016-02-28T13:14:15.123Z", moment),
            ("1456665255123.9", TimeFormat::EpochMs, "2016-02-28T13:14:15.123Z", moment),
            ("1456665255123456", TimeFormat::EpochUs, "2016-02-28T13:14:15.123Z", moment),
            ("1456665255123456.5", TimeFormat::EpochUs, "2016-02-28T13:14:15.123Z", moment),
            ("1456665255123456789", TimeFormat::EpochNs, "2016-02-28T13:14:15.123Z", moment),
            ("1456665255123456789.0", TimeFormat::EpochNs, "2016-02-28T13:14:15.123Z", moment),
            ("3", TimeFormat::Seconds, "1970-01-01T00:00:03.000Z", moment),
        ] {
            assert_eq!(detected(&[text]).unwrap(), format, "{text}");
            assert_eq!(read(format, text), Some((time.to_owned(), precision)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_read_as_none() {
        for (format, text) in [
            (TimeFormat::Compact, "20160230"),
            (TimeFormat::Compact, "2016022"),
            (TimeFormat::Compact, "2016é22"),
            (TimeFormat::Date, "2016-02-28 13:14:15+01:00"),
            (TimeFormat::Date, "2016-02-28 25:00:00"),
            (TimeFormat::Date, "2016-02-28 13:14:15 noon"),
            (TimeFormat::Date, "2016-2-28"),
            (TimeFormat::DayFirst, "02/28/2016"),
            (TimeFormat::DayFirst, "28/02.2016"),
            (TimeFormat::DayFirst, "28/02/16"),
            (TimeFormat::DayFirst, "28/02/2016 9:05 noon"),
            (TimeFormat::MonthFirst, "2/28/2016 13:14 PM"),
            (TimeFormat::MonthFirst, "2/28/2016 0:14 AM"),
            (TimeFormat::MonthFirst, "/2/2016"),
            (TimeFormat::EpochS, "soon"),
            (TimeFormat::EpochS, "1.4E+09"),
            (TimeFormat::Rfc3339, "2016-02-28"),
            (TimeFormat::Rfc3339, "2016-02-28 13:14:15 MARS"),
            (TimeFormat::Rfc3339, "2016-02-28 13:14:15+25:00"),
        ] {
            assert_eq!(read(format, text), None, "{text}");
        }
    }

    #[test]
    fn a_number_of_another_unit_is_no_time_of_the_unit_that_was_given() {
        let units = [
            (TimeFormat::EpochS, "1456665255"),
            (TimeFormat::EpochMs, "1456665255123"),
            (TimeFormat::EpochUs, "1456665255123456"),
            (TimeFormat::EpochNs, "1456665255123456789"),
        ];
        for (format, own) in units {
            for (_, text) in units {
                assert_eq!(read(format, text).is_some(), own == text, "{format:?} {text}");
            }
            assert!(read(format, "0").is_some(), "{format:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_names_the_flag_that_tells() {
        let error = detected(&["20160228", "1456665255"]).unwrap_err().to_string();
        assert!(
            error.contains("--time-format") && error.contains("yyyymmdd (1, such as 20160228)"),
            "{error}"
        );
        let error = detected(&["28 Feb 2016"]).unwrap_err().to_string();
        assert!(error.contains("--time-format") && error.contains("28 Feb 2016"), "{error}");
        assert_eq!(
            read(TimeFormat::EpochS, "5000"),
            Some(("1970-01-01T01:23:20.000Z".to_owned(), Precision::Moment))
        );
        assert!(detected(&[]).is_err());
    }

    #[test]
    fn a_day_that_may_be_a_month_is_never_guessed() {
        assert_eq!(detected(&["03/01/2016", "28/02/2016"]).unwrap(), TimeFormat::DayFirst);
        assert_eq!(detected(&["02/28/2016", "03/01/2016"]).unwrap(), TimeFormat::MonthFirst);
        let error = detected(&["03/01/2016", "04/01/2016"]).unwrap_err().to_string();
        assert!(error.contains("03/01/2016 may be dd/mm/yyyy or mm/dd/yyyy"), "{error}");
        // Nor does a single one of another kind make a file's own times doubtful.
        assert_eq!(detected(&["2016-01-03", "03/01/2016"]).unwrap(), TimeFormat::Date);
        let error = detected(&["13/01/2016", "01/13/2016", "01/14/2016"]).unwrap_err().to_string();
        assert!(error.contains("dd/mm/yyyy (1, such as 13/01/2016)"), "{error}");
        assert!(error.contains("mm/dd/yyyy (2, such as 01/13/2016)"), "{error}");
    }

    #[test]
    fn a_few_texts_that_are_no_times_do_not_hide_the_format() {
        assert_eq!(detected(&["20160228", "never", "20160301"]).unwrap(), TimeFormat::Compact);
        assert_eq!(detected(&["1456665255", "0"]).unwrap(), TimeFormat::EpochS);
    }

    #[test]
    fn local_times_are_of_the_zone_that_is_given_and_hours_that_were_twice_are_named() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut times = Times::new(TimeFormat::Date, Some(&berlin));
        let mut at = |text: &str| times.read(text).unwrap().time.to_string();
        assert_eq!(at("2026-07-01 12:00:00"), "2026-07-01T10:00:00.000Z");
        assert_eq!(at("2026-10-25 02:30:00"), "2026-10-25T00:30:00.000Z");
        assert_eq!(at("2026-03-29 02:30:00"), "2026-03-29T01:30:00.000Z");
        assert_eq!(at("2026-07-01"), "2026-06-30T22:00:00.000Z");
        let notes = times.notes().join("\n");
        assert!(notes.contains("1 line with a local time of an hour that there was twice"), "{notes}");
        assert!(
            notes.contains("such as 2026-10-25T02:30:00") && notes.contains("2026-03-29T02:30:00"),
            "{notes}"
        );
        assert!(Times::new(TimeFormat::Date, None).notes().is_empty());
    }
}
