//! Limits that figures must keep: `hash.grab.p99<20ms`.
//!
//! A limit is read, and refused if it is misspelt, before anything is measured ([`Limit::parse`]), and held against the
//! figures afterwards ([`check`]). A figure that could not be read keeps no limit: a check that passes for want of a
//! figure would be none. Nor does a rate or a time where the load was the limit, which is a figure of the load; but it
//! breaks none either.

mod parse;

use std::fmt;

pub use parse::{LimitSubject, Malformed};

use coupon_measure::format::number;

use super::model::{Contestant, Figure, Metric, Report, Requirement, Round};

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

/// Holds every limit against the figures of those it is about, in a report that is summarised.
#[must_use]
pub fn check(limits: &[Limit], report: &Report) -> Vec<Requirement> {
    let about = |limit: &Limit, contestant: &Contestant| {
        limit.contestant.as_ref().is_none_or(|name| *name == contestant.name)
    };
    let checked = limits.iter().flat_map(|limit| {
        let those = report.contestants.iter().filter(move |contestant| about(limit, contestant));
        those.map(|contestant| {
            let doubt = limit.doubt(report, &contestant.name);
            let found = limit.check(&contestant.name, &contestant.rounds);
            Requirement { passed: found.passed && doubt.is_none(), doubt, ..found }
        })
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
            doubt: None,
        }
    }

    /// The doubt that the contestant's figure is that of the load.
    fn doubt(&self, report: &Report, contestant: &str) -> Option<String> {
        let of_the_load = report.doubts.iter().find(|doubt| {
            doubt.kind.is_of_the_load()
                && doubt.kind.withholds(&self.metric)
                && doubt.contestant.as_deref() == Some(contestant)
        });
        of_the_load.map(|doubt| doubt.text.clone())
    }
}

impl Requirement {
    /// True when the figure is the contestant's, and beyond the limit.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        !self.passed && self.doubt.is_none()
    }

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
        let verdict = match (self.passed, &self.doubt) {
            (true, _) => "kept",
            (false, None) => "NOT KEPT",
            (false, Some(_)) => "CANNOT SAY",
        };
        let whose = if self.contestant.is_empty() || self.text.starts_with(&format!("{}.", self.contestant)) {
            String::new()
        } else {
            format!(" {}", self.contestant)
        };
        write!(f, "{verdict}: {}:{whose} {}", self.text, self.shown())?;
        self.doubt.as_ref().map_or(Ok(()), |doubt| write!(f, ". {doubt}"))
    }
}

#[cfg(test)]
mod tests;
