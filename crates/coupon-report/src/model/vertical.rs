//! Vertical partitioning: the figures of reads with and without a coupon's wide columns.

use std::fmt;

use coupon_measure::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The results of all pairs of reads. Measured for four seconds on the first contestant once all rounds are over, if there are
/// at least five; `loadtest vertical` takes longer and is surer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vertical {
    /// The number of rounds.
    pub rounds: u32,
    /// The pairs.
    pub pairs: Vec<Pair>,
}

/// One read, narrow and wide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Without details.
    pub narrow: Read,
    /// With details.
    pub wide: Read,
    /// Answers a second: narrow ÷ wide, by round.
    pub throughput_ratio: Option<Estimate>,
    /// Median latency: narrow ÷ wide, by round.
    pub p50_ratio: Option<Estimate>,
    /// Both ratios in a sentence.
    pub meaning: String,
}

/// One kind of read over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// Method and path.
    pub path: String,
    /// Answers a second.
    pub per_second: Option<Estimate>,
    /// Median latency in milliseconds.
    pub p50_ms: Option<Estimate>,
}

impl fmt::Display for Vertical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in &self.pairs {
            writeln!(f, "{}", pair.name)?;
            for read in [&pair.narrow, &pair.wide] {
                let (rate, p50) = (show(read.per_second.as_ref(), 0), show(read.p50_ms.as_ref(), 3));
                writeln!(f, "  {:<40} {rate} /s, p50 {p50} ms", read.path)?;
            }
            let (rate, p50) = (show(pair.throughput_ratio.as_ref(), 2), show(pair.p50_ratio.as_ref(), 2));
            writeln!(f, "  {:<40} {rate} × the answers a second, {p50} × the p50", "without ÷ with details")?;
            writeln!(f, "  {}", pair.meaning)?;
        }
        match self.pairs.first().and_then(|pair| pair.throughput_ratio.as_ref()) {
            Some(Estimate { n, level, .. }) if *n > 1 => {
                writeln!(f, "medians over {n} rounds, with {:.2}% intervals in brackets", level * 100.0)
            }
            Some(_) => writeln!(f, "figures of a single round, which has no interval"),
            None => Ok(()),
        }
    }
}

fn show(estimate: Option<&Estimate>, digits: usize) -> String {
    match estimate {
        Some(Estimate { median, n: 1, .. }) => format!("{median:.digits$}"),
        Some(Estimate { median, low, high, .. }) => {
            format!("{median:.digits$} [{low:.digits$}, {high:.digits$}]")
        }
        None => "n/a: nothing was answered".to_owned(),
    }
}
