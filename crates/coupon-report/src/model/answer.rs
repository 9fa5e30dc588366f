//! The answer to the question that a comparison was made for, and the limits that were set for it.

use coupon_measure::stats::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Figure;

/// The choice for the workload as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The conclusion, in a sentence or two.
    pub verdict: String,
    /// The contestants, of those with more than one shard if any has, that no other was shown to beat by rows stored a second, by the
    /// mean time a request takes, or by effective shards, and that lead by one of these. Where they point to different contestants, all
    /// of those, and `verdict` says who leads in what; empty when there is nothing to choose by.
    pub choice: Vec<String>,
    /// The figures that it rests on.
    pub figures: Vec<KeyFigure>,
    /// Changes of load or machines that would change it, the nearest first.
    pub changes: Vec<String>,
    /// The certainty of it, in a few words.
    pub certainty: String,
}

/// A figure that the answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyFigure {
    /// Its name.
    pub label: String,
    /// The contestant that it is of.
    pub contestant: String,
    /// The figure and its interval.
    pub estimate: Estimate,
    /// Its unit; empty for pure numbers.
    pub unit: String,
    /// The others' figures, as a sentence; empty when it stands alone.
    pub against: String,
}

/// A limit that a figure had to keep.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// The limit as it was given: `hash.grab.p99<20ms`.
    pub text: String,
    /// The contestant whose figure was held against it (`all` makes one for each); empty when there was only one service.
    pub contestant: String,
    /// The figure, in `unit`: the median over rounds; for `max` and `lag` the worst round's; for `errors` of all rounds'
    /// requests.
    pub figure: Figure,
    /// The figure over rounds with its interval, where it is a median of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// The unit of figure and limit: `ms`, `/s`, `%`, or nothing for pure numbers.
    pub unit: String,
    /// True when the limit was kept. A figure that could not be read keeps none, nor does one with a `doubt`.
    pub passed: bool,
    /// The reason for which the figure says nothing of the contestant: a rate or a time where the load was the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}
