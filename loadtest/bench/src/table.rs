//! The findings of a run, as a person reads them in a terminal.

use std::fmt::{self, Write};

use super::growth::statement;
use super::model::{Row, Standing};
use super::record::Bench;
use super::shown;

/// The whole summary.
#[must_use]
pub fn text(bench: &Bench) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, bench);
    text
}

fn write_all(text: &mut String, bench: &Bench) -> fmt::Result {
    let width = bench.rows().map(|row| row.claim.id.chars().count()).max().unwrap_or(0);
    for part in &bench.sections {
        writeln!(text, "\n{}: {} ({:.0} s)", part.name, part.what, part.seconds)?;
        if let Some(why) = &part.failed {
            writeln!(text, "  failed: {why}")?;
        }
        for row in &part.rows {
            write_row(text, row, width)?;
        }
        for curve in &part.curves {
            for series in &curve.series {
                if let Some(statement) = statement(curve, series) {
                    writeln!(text, "  {}: {}", curve.id, statement.line().replace("**", ""))?;
                }
            }
        }
    }
    Ok(())
}

fn write_row(text: &mut String, row: &Row, width: usize) -> fmt::Result {
    let claim = &row.claim;
    let figure = row.spread.as_ref().map_or("—".to_owned(), |spread| shown::spread(spread, &claim.unit));
    let (target, standing) = (shown::target(claim), shown::standing(&row.standing));
    write!(text, "  {:<width$}  {figure:>32}  {target:>9}  {standing}", claim.id)?;
    match &row.standing {
        Standing::NotRun(why) => writeln!(text, ": {why}"),
        Standing::NotValid => writeln!(text, ": {}", row.problems.join("; ")),
        Standing::Reached | Standing::Missed => writeln!(text),
    }
}
