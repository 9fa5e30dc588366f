//! The figures of the rounds at each point of a curve.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use coupon_measure::Turns;
use coupon_report::model::Reading;

use super::service::Point;
use crate::context::Context;
use crate::grabs::Measured;
use crate::model::{AllowedGrowth, Curve, RoundSpread, Series, Text};

/// A line of a curve before anything is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) must: AllowedGrowth,
}

/// Figures by point and line, round by round.
#[derive(Debug)]
pub(super) struct Gathered {
    x: Vec<f64>,
    values: BTreeMap<(usize, &'static str), Vec<f64>>,
    missing: BTreeMap<usize, String>,
    problems: Vec<String>,
}

impl Gathered {
    /// Nothing yet, of these points.
    pub(super) fn new(x: impl IntoIterator<Item = f64>) -> Self {
        let x = x.into_iter().collect();
        Self { x, values: BTreeMap::new(), missing: BTreeMap::new(), problems: Vec::new() }
    }

    /// One round's figure. What could not be read is no figure, and leaves the point without any.
    pub(super) fn add(&mut self, at: usize, line: &'static str, value: Option<f64>) {
        self.values.entry((at, line)).or_default().push(value.unwrap_or(f64::NAN));
    }

    /// Says why a point has no figures at all.
    pub(super) fn leave_out(&mut self, at: usize, why: String) {
        self.missing.insert(at, why);
    }

    /// Something that makes the curve not valid.
    pub(super) fn problem(&mut self, at: usize, what: Option<&String>) {
        let x = self.x.get(at).copied().unwrap_or(f64::NAN);
        self.problems.extend(what.map(|what| format!("at {}: {what}", coupon_measure::format::plain(x))));
    }

    /// All of it.
    pub(super) fn curve(
        self,
        id: &'static str,
        what: impl Into<Text>,
        x_label: &'static str,
        lines: &[Line],
    ) -> Curve {
        let series = lines.iter().map(|line| Series {
            name: line.name.into(),
            unit: line.unit.into(),
            must: line.must,
            points: (0..self.x.len()).map(|at| self.point(at, line.name)).collect(),
        });
        let series = series.collect();
        let Self { x, problems, .. } = self;
        Curve { id: id.into(), what: what.into(), x_label: x_label.into(), x, series, problems }
    }

    fn point(&self, at: usize, line: &'static str) -> Reading<RoundSpread> {
        if let Some(why) = self.missing.get(&at) {
            return Reading::unknown(why.clone());
        }
        let rounds = self.values.get(&(at, line)).map_or(&[][..], Vec::as_slice);
        Reading::or_because(RoundSpread::of(rounds), "not every round gave a figure")
    }
}

/// Lets every point have a turn in each round, in an order drawn anew.
pub(super) fn each_round(
    context: &Context,
    points: usize,
    mut turn: impl FnMut(u32, usize) -> Result<()>,
) -> Result<()> {
    let mut turns = Turns::new(context.seed);
    for round in 1..=context.rounds() {
        for at in turns.next_order(points) {
            turn(round, at)?;
        }
    }
    Ok(())
}

/// Lets services that grab, one for each point by its place on the axis and its name, have their turns, and audits each at the
/// end.
pub(super) fn grab_in_turns(
    context: &Context,
    points: Vec<(f64, String, Point)>,
    turn: impl Fn(&Context, &mut Measured, usize, &mut Gathered) -> Result<()>,
) -> Result<Gathered> {
    let mut found = Gathered::new(points.iter().map(|(x, ..)| *x));
    let start = |(_, name, point): (_, _, Point)| point.start_for_grabs(context, name);
    let mut services = points.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    each_round(context, services.len(), |round, at| {
        let service = services.get_mut(at).context("there is one for each point")?;
        context.progress(format!("round {round}: {}", service.running.name));
        turn(context, service, at, &mut found)
    })?;
    for (at, service) in services.into_iter().enumerate() {
        found.problem(at, service.finish(context)?.as_ref());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Line = Line { name: "p50", unit: "ms", must: AllowedGrowth::Cost(0.0) };

    #[test]
    fn a_point_is_what_its_rounds_came_to_or_says_why_there_is_none() {
        let mut found = Gathered::new([1.0, 10.0, 100.0, 1_000.0]);
        for value in [2.0, 4.0, 3.0] {
            found.add(0, "p50", Some(value));
        }
        found.add(1, "p50", Some(2.0));
        found.add(1, "p50", None);
        found.leave_out(2, "the disk is full".to_owned());
        let curve = found.curve("c", "a curve", "rows", &[COST]);
        let [series] = &curve.series[..] else { panic!("one line") };
        let [first, second, third, fourth] = &series.points[..] else { panic!("four points") };
        let first = first.known().unwrap();
        assert_eq!((first.median, first.min, first.max, first.n), (3.0, 2.0, 4.0, 3));
        assert_eq!(third.reason(), Some("the disk is full"));
        assert!(second.reason().is_some() && fourth.reason().is_some());
        assert_eq!(curve.x.len(), series.points.len());
    }

    #[test]
    fn a_problem_names_its_point() {
        let mut found = Gathered::new([1.0, 16.0]);
        found.problem(1, None);
        found.problem(1, Some(&"3 failed".to_owned()));
        assert_eq!(found.curve("c", "", "shards", &[]).problems, ["at 16: 3 failed"]);
    }

    #[test]
    fn every_point_has_one_turn_in_each_round() {
        let context = Context::new(true, 3, None);
        let mut seen = Vec::new();
        each_round(&context, 3, |round, at| {
            seen.push((round, at));
            Ok(())
        })
        .unwrap();
        seen.sort_unstable();
        let wanted: Vec<_> =
            (1..=context.rounds()).flat_map(|round| (0..3).map(move |at| (round, at))).collect();
        assert_eq!(seen, wanted);
    }
}
