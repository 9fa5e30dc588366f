//! Vertical partitioning: the figures of reads from two tables, and from one that holds the wide columns as well.

use std::fmt;

use coupon_measure::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The results of all reads. Measured shortly once all rounds are over, if there are at least five, on two services of its own over
/// the same coupons in files: the one as it is, the other over a table `coupons` that holds the wide columns too. `loadtest vertical`
/// takes longer and is surer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vertical {
    /// The number of rounds.
    pub rounds: u32,
    /// The reads.
    pub pairs: Vec<Pair>,
}

/// One thing that is read, without and with its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Without details: what the two tables are for.
    pub narrow: VerticalRead,
    /// With details: what they cost.
    pub wide: VerticalRead,
    /// Answers a second from two tables, without ÷ with details: how much of it is the answer's size, and not the tables, `narrow`
    /// says.
    pub size_ratio: Option<Estimate>,
    /// All of it in sentences.
    pub meaning: String,
}

/// The same read from either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerticalRead {
    /// Method and path.
    pub path: String,
    /// From two tables.
    pub split: Read,
    /// From one wide table.
    pub one_table: Read,
    /// Answers a second: two tables ÷ one, by round.
    pub throughput_ratio: Option<Estimate>,
    /// Median latency: two tables ÷ one, by round.
    pub p50_ratio: Option<Estimate>,
}

/// One kind of read over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// Answers a second.
    pub per_second: Option<Estimate>,
    /// Median latency in milliseconds.
    pub p50_ms: Option<Estimate>,
}

impl fmt::Display for Vertical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in &self.pairs {
            writeln!(f, "{}", pair.name)?;
            for layouts in [&pair.narrow, &pair.wide] {
                writeln!(f, "  {}", layouts.path)?;
                for (table, read) in [("two tables", &layouts.split), ("one table", &layouts.one_table)] {
                    let (rate, p50) = (show(read.per_second.as_ref(), 0), show(read.p50_ms.as_ref(), 3));
                    writeln!(f, "    {table:<12} {rate} /s, p50 {p50} ms")?;
                }
                let ratios = [&layouts.throughput_ratio, &layouts.p50_ratio].map(|of| show(of.as_ref(), 2));
                let [rate, p50] = ratios;
                writeln!(f, "    {:<12} {rate} × the answers a second, {p50} × the p50", "two ÷ one")?;
            }
            writeln!(f, "  {}", pair.meaning)?;
        }
        match self.pairs.first().and_then(|pair| pair.narrow.throughput_ratio.as_ref()) {
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
