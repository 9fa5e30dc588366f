//! Summaries over rounds, and what follows from them.

use serde::{Deserialize, Serialize};

use super::Metric;
use crate::stats::Estimate;

/// One metric of one contestant over its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which metric.
    pub metric: Metric,
    /// Its unit; empty for pure numbers.
    pub unit: String,
    /// Median and interval over the rounds that have the figure; `null` when none has.
    pub estimate: Option<Estimate>,
    /// Why rounds are missing, if any are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// The interval of the ratio excludes 1, and the ratio is large enough to matter.
    Difference,
    /// Anything smaller than that: none was shown. The interval says how large one could still hide.
    NoDifference,
    /// Fewer than five rounds in common.
    TooFewRounds,
}

/// Two contestants compared by one metric, paired by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// By what.
    pub metric: Metric,
    /// One contestant. In a verdict on a cure: the cure.
    pub a: String,
    /// The other. In a verdict on a cure: the plain variant.
    pub b: String,
    /// Whether `a` is a cure of `b`.
    pub cure: bool,
    /// What it came to.
    pub call: Call,
    /// The better of the two; `null` without a difference.
    pub better: Option<String>,
    /// The worse of the two; `null` without a difference.
    pub worse: Option<String>,
    /// `a` ÷ `b`: the median of the rounds' ratios and its interval; `null` when no round has both figures.
    pub ratio: Option<Estimate>,
    /// The same as a sentence.
    pub text: String,
}

/// What a piece of advice is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Topic {
    /// Which contestant for this need: the endpoint's key, or `writes` or `spread`.
    Need(String),
    /// What this contestant is good for.
    Contestant(String),
    /// What this cure buys and costs.
    Cure(String),
    /// Whether shards are needed at all.
    Baseline,
}

/// A conclusion for the reader, made of measured figures only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What it is about.
    pub topic: Topic,
    /// That, for people: `Room orders`.
    pub heading: String,
    /// The contestants it speaks for; empty when there is nothing to choose by.
    pub choice: Vec<String>,
    /// The conclusion, in sentences.
    pub text: String,
    /// How sure that is, in a few words.
    pub certainty: String,
}
