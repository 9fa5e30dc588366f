//! Curves, as tables, with what follows from their figures and what people say are the causes.

use std::fmt::{self, Write};

use super::{Notes, cell, figure};
use crate::bench::growth::statement;
use crate::bench::model::Curve;
use crate::bench::record::Bench;
use crate::format::plain;

pub(super) fn write(text: &mut String, bench: &Bench, notes: &Notes) -> fmt::Result {
    writeln!(text, "\n## Curves")?;
    if bench.curves().next().is_none() {
        writeln!(text, "\nNone was measured.")?;
    }
    for curve in bench.curves() {
        write_one(text, curve, notes.of(&curve.id))?;
    }
    Ok(())
}

fn write_one(text: &mut String, curve: &Curve, note: Option<&str>) -> fmt::Result {
    writeln!(text, "\n### {}\n\n{}.\n", curve.id, curve.what)?;
    let heads = curve.series.iter().map(|series| match &*series.unit {
        "" => cell(&series.name),
        unit => format!("{}, {unit}", cell(&series.name)),
    });
    let heads: Vec<String> = heads.collect();
    writeln!(text, "| {} | {} |\n|{}", curve.x_label, heads.join(" | "), "---|".repeat(heads.len() + 1))?;
    for (at, x) in curve.x.iter().enumerate() {
        let points = curve
            .series
            .iter()
            .map(|series| series.points.get(at).map_or("—".to_owned(), |point| figure(point, "")));
        writeln!(text, "| {} | {} |", plain(*x), points.collect::<Vec<_>>().join(" | "))?;
    }
    text.push('\n');
    for problem in &curve.problems {
        writeln!(text, "- **not valid**: {}", cell(problem))?;
    }
    let statements = curve.series.iter().filter_map(|series| statement(curve, series));
    let statements: Vec<_> = statements.collect();
    for statement in &statements {
        writeln!(text, "- {}", statement.text)?;
    }
    match note {
        Some(note) => writeln!(text, "\n{note}"),
        None if statements.iter().any(|statement| statement.wants_a_cause) => {
            writeln!(text, "\n*Nobody has named a cause yet: `docs/benchmarks/{}.md` is missing.*", curve.id)
        }
        None => Ok(()),
    }
}
