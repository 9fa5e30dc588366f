//! Curves: a table each, whose last line is the growth that follows from the figures above it.

use std::fmt::{self, Write};

use coupon_measure::format::{plain, times};

use super::{Notes, cell, figure, link};
use crate::growth::statement;
use crate::model::{Curve, Series};

pub(super) fn write(text: &mut String, curve: &Curve, notes: &Notes) -> fmt::Result {
    let statements: Vec<_> = curve.series.iter().map(|series| statement(curve, series)).collect();
    let wants_a_cause = statements.iter().flatten().any(|statement| statement.wants_a_cause);
    let cause = match notes.anchor(&curve.id) {
        Some(_) => format!(" {}.", link(notes, &curve.id, "Why")),
        None if wants_a_cause => " No cause named yet.".to_owned(),
        None => String::new(),
    };
    writeln!(text, "\n**{}**: {}.{cause}", curve.id, curve.what)?;
    for problem in &curve.problems {
        writeln!(text, "**Not valid**: {}.", cell(problem))?;
    }
    let heads: Vec<String> = curve.series.iter().map(head).collect();
    writeln!(text, "\n| {} | {} |\n|{}", curve.x_label, heads.join(" | "), "---|".repeat(heads.len() + 1))?;
    for (at, x) in curve.x.iter().enumerate() {
        let points = curve
            .series
            .iter()
            .map(|series| series.points.get(at).map_or("—".to_owned(), |point| figure(point, "")));
        writeln!(text, "| {} | {} |", plain(*x), points.collect::<Vec<_>>().join(" | "))?;
    }
    let growth = curve.x.first().zip(curve.x.last()).map_or(f64::NAN, |(first, last)| last / first);
    let cells = statements.iter().map(|said| said.as_ref().map_or("—".to_owned(), |said| said.cell()));
    writeln!(text, "| {} as many | {} |", times(growth), cells.collect::<Vec<_>>().join(" | "))
}

fn head(series: &Series) -> String {
    match &*series.unit {
        "" => cell(&series.name),
        unit => format!("{}, {unit}", cell(&series.name)),
    }
}
