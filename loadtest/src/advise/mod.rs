//! The strategy that a recorded trace calls for: every row routed through the real strategies, and the best of them
//! put to the proof.
//!
//! A program's own queries and rows say what other keys would do: [`queries`], [`keys`] and [`database`], for any
//! [`KeyColumns`](crate::replay::KeyColumns).
//!
//! [`alternatives`] makes the strategies with the boundaries that the trace suggests, [`predict`] routes the trace by
//! each, [`text`] and [`page`] show what came of it and [`AdviceReport`] keeps it, and [`agreement`] holds a prediction against a
//! replay.

mod advice;
mod alternatives;
mod chance;
#[cfg(feature = "servers")]
pub mod database;
#[cfg(not(feature = "servers"))]
#[path = "without_database.rs"]
pub mod database;
pub mod keys;
mod layout;
mod page;
mod predict;
mod proof;
pub mod queries;
mod render;
mod start;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use advice::{AdviceReport, Recommended};
pub use alternatives::{Alternative, alternatives};
pub use chance::{busiest_rows, rows_to_tell, too_few};
pub use page::page;
pub use predict::{Prediction, Routed, predict};
pub use proof::{Agreement, Compared, agreement};
pub use render::text;
pub use start::StartCommand;

/// An alternative and what is to be expected of it.
#[derive(Debug, Clone, Serialize)]
pub struct RatedAlternative {
    /// The alternative.
    #[serde(flatten)]
    pub alternative: Alternative,
    /// The prediction.
    #[serde(flatten)]
    pub prediction: Prediction,
}

/// The places of the findings, the best first: those with the highest worth. Of equals the one that was listed first,
/// which is the plainer.
#[must_use]
pub fn ranked(findings: &[RatedAlternative]) -> Vec<&RatedAlternative> {
    let mut order: Vec<&RatedAlternative> = findings.iter().collect();
    // A difference of less than a hundredth does not matter to a reader.
    let worth = |finding: &RatedAlternative| (finding.prediction.worth * 100.0).round();
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    order
}

/// The best, and the best of another kind: a second-best of the same kind differs only in its boundaries.
#[must_use]
pub fn best_two(findings: &[RatedAlternative]) -> Vec<&RatedAlternative> {
    let order = ranked(findings);
    let best = order.first().copied();
    let kind = |finding: &&RatedAlternative| {
        Some(finding.alternative.kind()) != best.map(|best| best.alternative.kind())
    };
    best.into_iter().chain(order.iter().copied().find(kind)).collect()
}
