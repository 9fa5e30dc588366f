//! Summaries over rounds, verdicts and advice.

use coupon_measure::stats::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DoubtKind, Metric};

/// One metric of one contestant over its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The metric.
    pub metric: Metric,
    /// Its unit; empty for pure numbers.
    pub unit: String,
    /// Median and interval over the rounds that have the figure; `null` when none has.
    pub estimate: Option<Estimate>,
    /// The reason why rounds are missing, if any are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// The interval of the ratio excludes 1, chance would seldom make as clear a difference in any of the need's comparisons, and
    /// it is large enough to matter.
    Difference,
    /// Anything smaller than that: none was shown. The interval says how large one could still hide.
    NoDifference,
    /// Fewer than five rounds in common.
    TooFewRounds,
    /// Whatever the figures say, they allow no verdict: `doubt` says why.
    Withheld,
}

/// Two contestants compared by one metric, paired by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The metric that they are compared by.
    pub metric: Metric,
    /// One contestant. In a verdict on a cure: the cure.
    pub a: String,
    /// The other. In a verdict on a cure: the plain variant.
    pub b: String,
    /// True when `a` is a cure of `b`.
    pub cure: bool,
    /// The result.
    pub call: Call,
    /// The reason for which a verdict is withheld.
    pub doubt: Option<DoubtKind>,
    /// The probability that equal contestants differ as clearly, corrected for all comparisons of the same need (Holm); `null` with
    /// too few rounds, and for figures that are counted, in which chance has no part.
    pub p: Option<f64>,
    /// The number of comparisons that it was corrected for.
    pub comparisons: usize,
    /// The better of the two; `null` without a difference.
    pub better: Option<String>,
    /// The worse of the two; `null` without a difference.
    pub worse: Option<String>,
    /// `a` ÷ `b`: the median of the rounds' ratios and its interval; `null` when no round has both figures.
    pub ratio: Option<Estimate>,
    /// The same as a sentence.
    pub text: String,
}

/// The subject of a piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Topic {
    /// The contestants to choose for a need: an endpoint's key, `writes` or `spread`.
    Need(String),
    /// The needs that a contestant serves well.
    Contestant(String),
    /// The gain and the price of a cure.
    Cure(String),
    /// The need for shards at all.
    Baseline,
}

/// A conclusion for the reader, made of measured figures only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// The subject.
    pub topic: Topic,
    /// The subject, for people: `Room orders`.
    pub heading: String,
    /// The contestants it speaks for; empty when there is nothing to choose by.
    pub choice: Vec<String>,
    /// The conclusion, in sentences.
    pub text: String,
    /// The certainty of it, in a few words.
    pub certainty: String,
}
