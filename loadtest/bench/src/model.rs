//! The findings of a benchmark: rows, each a figure with its target, and curves. `bench.json` is made of these.

use std::borrow::Cow;

use coupon_report::model::Reading;
use serde::{Deserialize, Serialize};

/// Text that is mostly written in the source, and owned when read back from `bench.json`.
pub type Text = Cow<'static, str>;

/// A row's subject and target, declared up front: a measurement that is missing shows as a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Unique: lower-case letters, digits and hyphens. `docs/benchmarks/NOTES.md` names it where it explains the row.
    pub id: Text,
    /// The measured subject.
    pub what: Text,
    /// The ceiling it is held against, measured in the same run. Empty where the target is absolute.
    pub against: Text,
    /// The target of its figure.
    pub target: Bound,
    /// Of the figure, the target and the samples: `×` for ratios, `ns`, `s`, `MB`, …
    pub unit: Text,
}

impl Claim {
    /// A figure that is to come to a target.
    pub fn new(id: impl Into<Text>, what: impl Into<Text>, target: Bound, unit: &'static str) -> Self {
        Self { id: id.into(), what: what.into(), against: "".into(), target, unit: unit.into() }
    }

    /// The ratio of a figure to a ceiling.
    pub fn ratio(id: impl Into<Text>, what: impl Into<Text>, ceiling: &'static str, target: Bound) -> Self {
        Self { against: ceiling.into(), ..Self::new(id, what, target, "×") }
    }
}

/// The bound of a row's median.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing is expected of it: the figure is a price, and what it buys is for its reader to weigh.
    Free,
}

impl Bound {
    /// The verdict on a figure.
    #[must_use]
    pub fn judge(self, value: f64) -> Standing {
        let reached = match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Free => return Standing::NoTarget,
        };
        if reached { Standing::Reached } else { Standing::Missed }
    }
}

/// A figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoundSpread {
    /// The median round's.
    pub median: f64,
    /// The lowest round's.
    pub min: f64,
    /// The highest round's.
    pub max: f64,
    /// The number of rounds.
    pub n: usize,
}

impl RoundSpread {
    /// The spread of some rounds' values; none without any, or with one that is not a finite number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        Some(Self {
            median: coupon_measure::stats::estimate(values)?.median,
            min: values.iter().copied().min_by(f64::total_cmp)?,
            max: values.iter().copied().max_by(f64::total_cmp)?,
            n: values.len(),
        })
    }
}

/// A figure that goes with a row: what the ceiling itself came to, where the CPU went, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedFigure {
    /// Its name, such as `echo: rate`: the kind of load that it belongs to, if any, and the figure.
    pub what: Text,
    /// Its unit.
    pub unit: Text,
    /// The value, or the reason why there is none.
    pub spread: Reading<RoundSpread>,
}

impl NamedFigure {
    /// A figure of the rounds' values.
    pub fn of(what: impl Into<Text>, unit: impl Into<Text>, values: &[f64]) -> Self {
        let spread = Reading::or_because(RoundSpread::of(values), "it was not measured");
        Self { what: what.into(), unit: unit.into(), spread }
    }

    /// A figure that could not be read.
    pub fn unknown(what: impl Into<Text>, unit: impl Into<Text>, why: impl Into<String>) -> Self {
        Self { what: what.into(), unit: unit.into(), spread: Reading::unknown(why) }
    }
}

/// The verdict on a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The median comes to the target.
    Reached,
    /// It does not.
    Missed,
    /// It was measured, and there is none.
    NoTarget,
    /// It was measured, but not what it should be: the row's `problems` say why. There is no verdict.
    NotValid,
    /// It was not measured, and why.
    NotRun(String),
}

/// One claim and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// The verdict.
    pub standing: Standing,
    /// The figure over the rounds, if there is one.
    pub spread: Option<RoundSpread>,
    /// The figure of each round, in order.
    pub samples: Vec<f64>,
    /// The ceiling's own figures, and others that explain the row's.
    pub figures: Vec<NamedFigure>,
    /// The reasons why it is not valid; empty when it is.
    pub problems: Vec<String>,
}

/// The measurement of a claim, which it names by its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The claim's.
    pub id: Text,
    /// The figure of each round, in order.
    samples: Vec<f64>,
    /// Figures that explain it.
    pub figures: Vec<NamedFigure>,
    /// The reasons why it is not valid.
    problems: Vec<String>,
    /// The reason why there was none.
    not_run: Option<String>,
}

impl Measurement {
    /// A measurement with the figure of each round.
    pub fn new(id: impl Into<Text>, samples: Vec<f64>) -> Self {
        Self { id: id.into(), samples, figures: Vec::new(), problems: Vec::new(), not_run: None }
    }

    /// A claim that was not measured.
    pub fn not_run(id: impl Into<Text>, why: impl Into<String>) -> Self {
        Self { not_run: Some(why.into()), ..Self::new(id, Vec::new()) }
    }

    /// A measurement that failed.
    pub fn failed(id: impl Into<Text>, why: impl Into<String>) -> Self {
        Self::new(id, Vec::new()).problems(vec![why.into()])
    }

    /// The same with figures that explain it.
    #[must_use]
    pub fn figures(mut self, figures: Vec<NamedFigure>) -> Self {
        self.figures = figures;
        self
    }

    /// The same with reasons why it is not valid, if there are any.
    #[must_use]
    pub fn problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }
}

impl Row {
    /// The row of a claim and its measurement. Problems, or samples that make no figure, make it not valid.
    #[must_use]
    pub fn new(claim: Claim, measured: Measurement) -> Self {
        let Measurement { samples, figures, mut problems, not_run, .. } = measured;
        if let Some(why) = not_run {
            return Self { claim, standing: Standing::NotRun(why), spread: None, samples, figures, problems };
        }
        let spread = RoundSpread::of(&samples);
        if spread.is_none() && problems.is_empty() {
            problems.push("the rounds gave no figure".to_owned());
        }
        let standing = match spread {
            Some(spread) if problems.is_empty() => claim.target.judge(spread.median),
            _ => Standing::NotValid,
        };
        Self { claim, standing, spread, samples, figures, problems }
    }
}

/// Figures over one thing that was varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Unique, as a row's.
    pub id: Text,
    /// The measured subject.
    pub what: Text,
    /// The thing that was varied, such as `connections`.
    pub x_label: Text,
    /// Its values, rising.
    pub x: Vec<f64>,
    /// The figures at each of them.
    pub series: Vec<Series>,
    /// The reasons why it is not valid; empty when it is.
    pub problems: Vec<String>,
}

/// One line of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The name of the figure, such as `grab`.
    pub name: Text,
    /// Its unit, such as `/s` or `ms`.
    pub unit: Text,
    /// Its growth at most (a cost), or at least (a rate).
    pub must: AllowedGrowth,
    /// Its values: as many as there are of x.
    pub points: Vec<Reading<RoundSpread>>,
}

/// The growth that a series may have before it is worth a cause: y is taken to be about x to some power.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedGrowth {
    /// Less is better, and it has to grow with this power of x, not more: 0 for what need not grow at all.
    Cost(f64),
    /// A rate: more is better, and it should grow with this power of x: 0 for what need not fall.
    Rate(f64),
    /// Nothing is expected of it.
    Free,
}

/// The findings of a section.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// One for each of its claims.
    pub measured: Vec<Measurement>,
    /// Its curves.
    pub curves: Vec<Curve>,
}

impl From<Vec<Measurement>> for Findings {
    fn from(measured: Vec<Measurement>) -> Self {
        Self { measured, curves: Vec::new() }
    }
}

impl From<Curve> for Findings {
    fn from(curve: Curve) -> Self {
        Self { measured: Vec::new(), curves: vec![curve] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(target: Bound) -> Claim {
        Claim::ratio("grab", "a grab", "echo", target)
    }

    #[test]
    fn the_median_decides_whether_a_target_is_reached() {
        let row = |target, samples: &[f64]| {
            Row::new(claim(target), Measurement::new("grab", samples.to_vec())).standing
        };
        assert_eq!(row(Bound::AtLeast(0.6), &[0.2, 0.6, 0.9]), Standing::Reached);
        assert_eq!(row(Bound::AtLeast(0.6), &[0.2, 0.59, 0.9]), Standing::Missed);
        assert_eq!(row(Bound::AtMost(2.0), &[1.0, 2.0, 9.0]), Standing::Reached);
        assert_eq!(row(Bound::AtMost(2.0), &[1.0, 2.1, 9.0]), Standing::Missed);
        assert_eq!(row(Bound::Free, &[1.0, 2.1, 9.0]), Standing::NoTarget);
        assert_eq!(row(Bound::Free, &[]), Standing::NotValid);
    }

    #[test]
    fn a_figure_with_a_problem_has_no_verdict() {
        let row = |measured| Row::new(claim(Bound::AtLeast(0.0)), measured);
        let sold_out = Measurement::new("grab", vec![1.0]).problems(vec!["sold out".to_owned()]);
        assert_eq!(row(sold_out).standing, Standing::NotValid);
        for samples in [vec![], vec![1.0, f64::NAN], vec![f64::INFINITY]] {
            let row = row(Measurement::new("grab", samples));
            assert_eq!((row.standing, row.spread, row.problems.len()), (Standing::NotValid, None, 1));
        }
    }

    #[test]
    fn a_row_survives_json() {
        let figures =
            vec![NamedFigure::of("echo", "/s", &[2.0, 4.0]), NamedFigure::unknown("mysql", "µs", "no /proc")];
        let measured = Measurement::new("grab", vec![1.5, 3.0]).figures(figures);
        for measured in [measured, Measurement::not_run("grab", "no wrk")] {
            let row = Row::new(claim(Bound::AtMost(2.0)), measured);
            let json = serde_json::to_string(&row).unwrap();
            assert_eq!(serde_json::from_str::<Row>(&json).unwrap(), row, "{json}");
        }
    }
}
