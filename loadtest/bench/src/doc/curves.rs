//! Curves: a table each, whose last line is the growth that follows from the figures above it.

use std::fmt::{self, Write};

use coupon_measure::Table;
use coupon_measure::format::{plain, times};

use super::{Notes, figure, link, one_line};
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
        writeln!(text, "**Not valid**: {}.", one_line(problem))?;
    }
    let label = std::iter::once(curve.x_label.to_string());
    let mut table = Table::new(label.chain(curve.series.iter().map(head)));
    for (at, x) in curve.x.iter().enumerate() {
        let points = curve
            .series
            .iter()
            .map(|series| series.points.get(at).map_or("—".to_owned(), |point| figure(point, "")));
        table.row(std::iter::once(plain(*x)).chain(points));
    }
    let growth = curve.x.first().zip(curve.x.last()).map_or(f64::NAN, |(first, last)| last / first);
    let cells = statements.iter().map(|said| said.as_ref().map_or("—".to_owned(), |said| said.cell()));
    table.row(std::iter::once(format!("{} as many", times(growth))).chain(cells));
    write!(text, "\n{}", table.markdown())
}

fn head(series: &Series) -> String {
    match &*series.unit {
        "" => series.name.to_string(),
        unit => format!("{}, {unit}", series.name),
    }
}
