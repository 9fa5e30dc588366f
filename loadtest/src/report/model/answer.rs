//! The answer to the question that a comparison was made for, and the limits that were set for it.

use serde::{Deserialize, Serialize};

use super::Figure;
use crate::stats::Estimate;

/// Which contestant for the workload as a whole, how sure that is, and what would change it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The conclusion, in a sentence or two.
    pub verdict: String,
    /// Whom it names; empty when there is nothing to choose by.
    pub choice: Vec<String>,
    /// What it rests on.
    pub figures: Vec<KeyFigure>,
    /// What would change it, the nearest first.
    pub changes: Vec<String>,
    /// How sure that is, in a few words.
    pub certainty: String,
}

/// A figure that the answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyFigure {
    /// What it is.
    pub label: String,
    /// Whose.
    pub contestant: String,
    /// The figure and its interval.
    pub estimate: Estimate,
    /// Its unit; empty for pure numbers.
    pub unit: String,
    /// What it is held against, as a sentence; empty when it stands alone.
    pub against: String,
}

/// A limit that a figure had to keep.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Requirement {
    /// As it was given: `hash.grab.p99<20ms`.
    pub text: String,
    /// Whose figure it is about; empty when there was only one service.
    pub contestant: String,
    /// The figure that was held against the limit, in the unit of `unit`.
    pub figure: Figure,
    /// The figure over rounds with its interval, where it is a median of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// The unit of figure and limit: `ms`, `/s`, `%`, or nothing for pure numbers.
    pub unit: String,
    /// Whether the limit was kept. A figure that could not be read keeps none.
    pub passed: bool,
}
