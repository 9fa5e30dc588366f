//! Verdicts on each need, and the grounds for believing them.

use coupon_measure::stats::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Metric;

/// A reason for which figures allow no verdict, or a contestant leads in nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// The reason.
    pub kind: DoubtKind,
    /// The contestant that it was found with; `null` where it is about several.
    pub contestant: Option<String>,
    /// The same as a sentence, with its figures.
    pub text: String,
}

/// The kinds of doubts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoubtKind {
    /// The load generator had no time to spare, or was so late that it measured itself: no verdict on rate or latency.
    GeneratorLimited,
    /// Requests waited for a free connection: no verdict on rate or latency.
    ConnectionsLimited,
    /// A debug build stands beside a release build: no verdict on rate or latency.
    BuildsDiffer,
    /// The contestants had data of different sizes: no verdict on anything.
    DataSetsDiffer,
    /// The contestant failed clearly more of its requests than another: it leads in nothing.
    FailuresDiffer,
    /// The contestant refused clearly more of its grabs than another, and so did less: it leads in nothing.
    RefusalsDiffer,
    /// The contestant was not sent what it was to be sent: it leads in nothing.
    NotOffered,
    /// The layout of others was changed in the middle of their turns, and the contestant's was not: it leads in nothing.
    LeftAlone,
}

impl DoubtKind {
    /// True when the load, and no contestant, was the limit.
    #[must_use]
    pub const fn is_of_the_load(self) -> bool {
        matches!(self, Self::GeneratorLimited | Self::ConnectionsLimited)
    }

    /// True when it withholds all verdicts on a metric, of any two contestants.
    #[must_use]
    pub const fn withholds(self, metric: &Metric) -> bool {
        match self {
            Self::GeneratorLimited | Self::ConnectionsLimited | Self::BuildsDiffer => metric.is_timed(),
            Self::DataSetsDiffer => true,
            Self::FailuresDiffer | Self::RefusalsDiffer | Self::NotOffered | Self::LeftAlone => false,
        }
    }

    /// True when it keeps its contestant from leading.
    #[must_use]
    pub const fn bars(self) -> bool {
        matches!(self, Self::FailuresDiffer | Self::RefusalsDiffer | Self::NotOffered | Self::LeftAlone)
    }
}

/// A need, and the verdict on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    /// An endpoint's key, `writes` or `spread`.
    pub need: String,
    /// The same for people.
    pub heading: String,
    /// The outcome.
    pub result: NeedResult,
    /// Every contestant that could be chosen, the best first.
    pub places: Vec<Placed>,
    /// The metric that decided, by which those lead that `places` says lead; without a difference, the first that was judged; `null` if none was.
    pub by: Option<Metric>,
    /// The reasons why no contestant can be named, or why one leads in nothing.
    pub doubts: Vec<DoubtKind>,
    /// The grounds of the verdict.
    pub grounds: Grounds,
}

/// The outcome for a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedResult {
    /// One contestant or several lead: see `places`.
    Leads,
    /// No difference was shown between those that could be compared.
    Equal,
    /// There is no verdict: see `doubts`, or there were too few rounds.
    None,
}

/// A contestant's place in a need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// The contestant.
    pub contestant: String,
    /// Its place.
    pub place: Place,
    /// Its figure by the metric in `by`, with its interval; `null` without one.
    pub estimate: Option<Estimate>,
}

/// The places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// By the metric in `by` it was shown to be better than another, and no other to be better than it; and its median is no worse
    /// than that of any who is behind.
    Leads,
    /// No other was shown to be better or worse.
    Equal,
    /// Another was shown to be better.
    Behind,
    /// It was shown neither to be better than another nor to be behind, or it leads by this metric and is behind by another.
    NotTold,
    /// It leads in nothing: it failed or refused more than others, was sent less, or was left alone where others changed their layout.
    Barred,
}

/// The grounds of a verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grounds {
    /// The fewest rounds behind any of its comparisons; 0 without one.
    pub rounds: usize,
    /// The least coverage of their intervals, 0 to 1.
    pub level: f64,
    /// The number of comparisons that were corrected together (Holm).
    pub comparisons: usize,
    /// The probability that any of these calls a difference between equal contestants, at most.
    pub error: f64,
    /// The least ratio that is called a difference.
    pub least_ratio: f64,
    /// The least difference in milliseconds that is called one.
    pub least_ms: f64,
}

/// Two contestants' whole distributions of times by one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shape {
    /// The endpoint's key.
    pub endpoint: String,
    /// One contestant.
    pub a: String,
    /// The other.
    pub b: String,
    /// The part of requests by which the two differ the most (Kolmogorov and Smirnov's distance), 0 to 1.
    pub distance: f64,
    /// The time at which they do, in milliseconds.
    pub at_ms: f64,
    /// The part of `a`'s requests that were answered within that time.
    pub a_within: f64,
    /// The same of `b`.
    pub b_within: f64,
    /// The probability that equal contestants are as far apart, by swapping the two within rounds, corrected for the other pairs
    /// of the same question (Holm).
    pub p: f64,
    /// The number of rounds.
    pub rounds: usize,
    /// The fewest rounds in which as many pairs can be told apart, since those of one question are corrected together; `null` if no number is enough.
    #[serde(default = "not_known")]
    pub rounds_needed: Option<usize>,
    /// True when the shape differs: `p` is 5 % at most and `distance` at least 10 % of requests.
    pub differs: bool,
    /// True when it does although no difference was shown between the medians.
    pub same_median: bool,
    /// The same as a sentence.
    pub text: String,
}

/// The number for earlier reports, which do not say it.
const fn not_known() -> Option<usize> {
    Some(0)
}

impl Shape {
    /// True when no shapes, however far apart, could have been told apart.
    #[must_use]
    pub fn has_too_few_rounds(&self) -> bool {
        self.rounds_needed.is_none_or(|needed| self.rounds < needed)
    }

    /// The rounds that it takes to tell them apart, in words.
    pub(crate) fn takes(&self) -> String {
        let needed = self.rounds_needed.map(|needed| format!("it takes {needed}"));
        needed.unwrap_or_else(|| "no number of rounds is enough".to_owned())
    }

    /// Of shapes that had too few rounds, the one that takes most.
    pub(crate) fn takes_most<'a>(few: impl Iterator<Item = &'a Self>) -> Option<&'a Self> {
        few.max_by_key(|shape| shape.rounds_needed.unwrap_or(usize::MAX))
    }
}

/// The effect that a place in the order of turns had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PositionEffect {
    /// The place, from 0.
    pub position: u32,
    /// The mean time a request took there ÷ the same contestant's at any place, both relative to what the round did to all
    /// contestants.
    pub ratio: Estimate,
    /// The number of turns that each contestant, in the order of the report, had in that place.
    pub turns: Vec<u32>,
}
