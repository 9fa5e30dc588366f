//! Times as other systems write them.

use anyhow::{Result, bail};
use coupon_core::{Day, Timestamp};
use jiff::civil::DateTime;

/// The formats of times in files. Without an offset they are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeFormat {
    /// 2026-11-22T15:04:05.123+08:00
    Rfc3339,
    /// 20261122, a day alone
    #[value(name = "yyyymmdd")]
    Compact,
    /// 2026-11-22, or 2026-11-22 15:04:05 (a T between them will do), without an offset
    Date,
    /// 1795359845, seconds since 1970
    EpochS,
    /// 1795359845123, milliseconds since 1970
    EpochMs,
}

/// A time as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    /// Nothing says when in that day.
    pub(super) day_only: bool,
}

/// 1973 to 2100: a number outside is no time unless the format was given.
const PLAUSIBLE_S: std::ops::Range<i64> = 100_000_000..4_102_444_800;

impl TimeFormat {
    const ALL: [Self; 5] = [Self::Rfc3339, Self::Compact, Self::Date, Self::EpochS, Self::EpochMs];

    /// The spelling for `--time-format`.
    const fn name(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Compact => "yyyymmdd",
            Self::Date => "date",
            Self::EpochS => "epoch-s",
            Self::EpochMs => "epoch-ms",
        }
    }

    /// Reads a time, if it is one of this kind.
    pub(super) fn read(self, text: &str) -> Option<Moment> {
        let at = |time| Some(Moment { time, day_only: false });
        match self {
            Self::Rfc3339 => at(text.parse().ok()?),
            Self::Compact => {
                let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
                let (year, rest) = text.split_at_checked(4).filter(|_| digits)?;
                let (month, day) = rest.split_at_checked(2)?;
                let day: Day = format!("{year}-{month}-{day}").parse().ok()?;
                Some(Moment { time: day.start(), day_only: true })
            }
            Self::Date if text.len() == 10 => {
                Some(Moment { time: text.parse::<Day>().ok()?.start(), day_only: true })
            }
            Self::Date => {
                let civil: DateTime = text.parse().ok().filter(|_| text.contains(':'))?;
                // A text with an offset would be read as if it had none.
                let offset = text.get(10..).is_some_and(|clock| clock.contains(['Z', 'z', '+', '-']));
                let time = jiff::tz::Offset::UTC.to_timestamp(civil).ok().filter(|_| !offset)?;
                at(checked(time.as_millisecond())?)
            }
            Self::EpochS => at(checked(text.parse::<i64>().ok()?.checked_mul(1_000)?)?),
            Self::EpochMs => at(checked(text.parse().ok()?)?),
        }
    }

    /// True when a text is likely to be of this kind: any number could be a time.
    fn suits(self, text: &str) -> bool {
        let number =
            |unit: i64| text.parse::<i64>().is_ok_and(|number| PLAUSIBLE_S.contains(&(number / unit)));
        match self {
            Self::EpochS => number(1),
            // From 1973 on in milliseconds is beyond 2100 in seconds.
            Self::EpochMs => number(1_000),
            Self::Rfc3339 | Self::Compact | Self::Date => self.read(text).is_some(),
        }
    }
}

fn checked(millis: i64) -> Option<Timestamp> {
    let time = Timestamp::from_millis(millis);
    (time.millis() == millis).then_some(time)
}

/// Finds out how a file writes its times.
#[derive(Debug, Default)]
pub(super) struct Detection {
    /// The number of texts that suit each format, with the first that does.
    suited: [(u64, String); TimeFormat::ALL.len()],
    /// The first text that suits none.
    stranger: Option<String>,
}

impl Detection {
    pub(super) fn add(&mut self, text: &str) {
        let mut suited = false;
        for (format, (count, first)) in TimeFormat::ALL.into_iter().zip(&mut self.suited) {
            if format.suits(text) {
                suited = true;
                if *count == 0 {
                    text.clone_into(first);
                }
                *count += 1;
            }
        }
        if !suited {
            self.stranger.get_or_insert_with(|| text.chars().take(40).collect());
        }
    }

    /// The one format that times have.
    pub(super) fn format(&self, column: &str) -> Result<TimeFormat> {
        let found: Vec<_> =
            TimeFormat::ALL.into_iter().zip(&self.suited).filter(|(_, (count, _))| *count > 0).collect();
        let names = TimeFormat::ALL.map(TimeFormat::name).join(", ");
        match found.as_slice() {
            [(only, _)] => Ok(*only),
            [] => match &self.stranger {
                Some(text) => bail!(
                    "column {column:?}: {text:?} is no time of a kind that is known here; say which with --time-format \
                     ({names}), or name another column with --map time=COLUMN"
                ),
                None => bail!(
                    "no line has a time in column {column:?}; is there one under the header? Another column is named with \
                     --map time=COLUMN"
                ),
            },
            several => {
                let told = several
                    .iter()
                    .map(|(format, (count, first))| format!("{} ({count}, such as {first})", format.name()));
                bail!(
                    "column {column:?} has times of several kinds: {}; say which counts with --time-format, and lines \
                     with another are left out",
                    told.collect::<Vec<_>>().join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(texts: &[&str]) -> Result<TimeFormat> {
        let mut detection = Detection::default();
        texts.iter().for_each(|text| detection.add(text));
        detection.format("when")
    }

    fn read(format: TimeFormat, text: &str) -> Option<(String, bool)> {
        format.read(text).map(|moment| (moment.time.to_string(), moment.day_only))
    }

    #[test]
    fn each_kind_is_told_from_the_others_and_read() {
        for (text, format, time, day_only) in [
            ("2026-11-22T15:04:05+01:00", TimeFormat::Rfc3339, "2026-11-22T14:04:05.000Z", false),
            ("20160228", TimeFormat::Compact, "2016-02-28T00:00:00.000Z", true),
            ("2016-02-28", TimeFormat::Date, "2016-02-28T00:00:00.000Z", true),
            ("2016-02-28 13:14:15", TimeFormat::Date, "2016-02-28T13:14:15.000Z", false),
            ("2016-02-28T13:14", TimeFormat::Date, "2016-02-28T13:14:00.000Z", false),
            ("1456665255", TimeFormat::EpochS, "2016-02-28T13:14:15.000Z", false),
            ("1456665255123", TimeFormat::EpochMs, "2016-02-28T13:14:15.123Z", false),
        ] {
            assert_eq!(detected(&[text]).unwrap(), format, "{text}");
            assert_eq!(read(format, text), Some((time.to_owned(), day_only)), "{text}");
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
            (TimeFormat::EpochS, "-5"),
            (TimeFormat::EpochS, "soon"),
            (TimeFormat::Rfc3339, "2016-02-28"),
        ] {
            assert_eq!(format.read(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_names_the_flag_that_tells() {
        let error = detected(&["20160228", "1456665255"]).unwrap_err().to_string();
        assert!(
            error.contains("--time-format") && error.contains("yyyymmdd (1, such as 20160228)"),
            "{error}"
        );
        let error = detected(&["28/02/2016"]).unwrap_err().to_string();
        assert!(error.contains("--time-format") && error.contains("28/02/2016"), "{error}");
        // A small number might be seconds since 1970 all the same, if the format was given.
        assert!(detected(&["5000"]).is_err());
        assert_eq!(read(TimeFormat::EpochS, "5000"), Some(("1970-01-01T01:23:20.000Z".to_owned(), false)));
        assert!(detected(&[]).is_err());
    }

    #[test]
    fn a_few_texts_that_are_no_times_do_not_hide_the_format() {
        assert_eq!(detected(&["20160228", "never", "20160301"]).unwrap(), TimeFormat::Compact);
    }
}
