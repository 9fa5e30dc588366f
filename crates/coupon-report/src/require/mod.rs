//! Limits that figures must keep: `hash.grab.p99<20ms`.
//!
//! A limit is read, and refused if it is misspelt, before anything is measured ([`Limit::parse`]), and held against the
//! figures afterwards ([`check`]). A figure that could not be read keeps no limit: a check that passes for want of a figure
//! would be none.

mod parse;

use std::fmt;

pub use parse::{LimitSubject, Malformed};

use coupon_measure::format::number;

use super::model::{Contestant, Figure, Metric, Requirement, Round};

/// A limit for a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The text as it was given.
    text: String,
    /// The contestant that it limits; every one without.
    contestant: Option<String>,
    metric: Metric,
    operator: Operator,
    /// The bound, in the unit of the metric.
    bound: f64,
}

/// The relation that a figure must have to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Operator {
    fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Below => figure < bound,
            Self::AtMost => figure <= bound,
            Self::Above => figure > bound,
            Self::AtLeast => figure >= bound,
        }
    }
}

/// Holds every limit against the figures of those it is about.
#[must_use]
pub fn check(limits: &[Limit], contestants: &[Contestant]) -> Vec<Requirement> {
    let about = |limit: &Limit, contestant: &Contestant| {
        limit.contestant.as_ref().is_none_or(|name| *name == contestant.name)
    };
    let checked = limits.iter().flat_map(|limit| {
        let those = contestants.iter().filter(move |contestant| about(limit, contestant));
        those.map(|contestant| limit.check(&contestant.name, &contestant.rounds))
    });
    checked.collect()
}

impl Limit {
    /// Holds the limit against some rounds.
    #[must_use]
    pub fn check(&self, contestant: &str, rounds: &[Round]) -> Requirement {
        let (figure, estimate) = self.metric.over(rounds);
        Requirement {
            text: self.text.clone(),
            contestant: contestant.to_owned(),
            passed: figure.value().is_some_and(|value| self.operator.holds(value, self.bound)),
            figure,
            estimate,
            unit: self.metric.unit().to_owned(),
        }
    }
}

impl Requirement {
    /// The figure with its unit and interval, or why there is none.
    #[must_use]
    pub fn shown(&self) -> String {
        let space = if matches!(self.unit.as_str(), "ms" | "%") { " " } else { "" };
        let unit = &self.unit;
        let figure = self.figure.show(|value| format!("{}{space}{unit}", number(*value)));
        match (&self.estimate, &self.figure) {
            (Some(estimate), Figure::Known(_)) if estimate.n > 1 => {
                format!("{figure} ({} to {})", number(estimate.low), number(estimate.high))
            }
            _ => figure,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "kept" } else { "NOT KEPT" };
        let whose = if self.contestant.is_empty() || self.text.starts_with(&format!("{}.", self.contestant)) {
            String::new()
        } else {
            format!(" {}", self.contestant)
        };
        write!(f, "{verdict}: {}:{whose} {}", self.text, self.shown())
    }
}

#[cfg(test)]
mod tests;
