//! The format of a file's times, found out by some of them.

use anyhow::{Result, bail};
use coupon_cli::plain;

use super::TimeFormat;

/// Finds out how a file writes its times.
#[derive(Debug, Default)]
pub(in crate::replay) struct Detection {
    /// The number of texts that suit each format and not its twin, with the first that does.
    suited: [(u64, String); TimeFormat::ALL.len()],
    /// The first text that suits twins, as a day whose number is a month's.
    either: Option<(String, [TimeFormat; 2])>,
    /// The first text that suits none.
    stranger: Option<String>,
}

impl Detection {
    pub(in crate::replay) fn add(&mut self, text: &str) {
        let mut suited = false;
        for (format, (count, first)) in TimeFormat::ALL.into_iter().zip(&mut self.suited) {
            if format.suits(text) {
                suited = true;
                if let Some(twin) = format.twin().filter(|twin| twin.suits(text)) {
                    self.either.get_or_insert_with(|| (text.to_owned(), [format, twin]));
                    continue;
                }
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

    /// True when that text is a time, and no mere number.
    pub(in crate::replay) fn is_time(text: &str) -> bool {
        TimeFormat::ALL
            .into_iter()
            .filter(|format| *format != TimeFormat::Seconds)
            .any(|format| format.suits(text))
    }

    /// The one format that times have.
    pub(in crate::replay) fn format(&self, column: &str) -> Result<TimeFormat> {
        let mut found: Vec<_> =
            TimeFormat::ALL.into_iter().zip(&self.suited).filter(|(_, (count, _))| *count > 0).collect();
        // Any small number could be seconds since the trace began: that counts where there is nothing else.
        if found.len() > 1 {
            found.retain(|(format, _)| *format != TimeFormat::Seconds);
        }
        let names = TimeFormat::ALL.map(TimeFormat::name).join(", ");
        // What no other line decides.
        if let Some((text, twins)) = &self.either
            && found.is_empty()
        {
            bail!(
                "column {column:?}: {text} may be {}, and no line that was looked at decides it; say which with --time-format",
                twins.map(TimeFormat::name).join(" or ")
            );
        }
        match found.as_slice() {
            [(only, _)] => Ok(*only),
            [] => match &self.stranger {
                Some(text) => bail!(
                    "column {column:?}: {:?} is no time of a kind that is known here; say which with --time-format \
                     ({names}), or name another column with --map time=COLUMN",
                    plain::line(text)
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
