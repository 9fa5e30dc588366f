//! The findings of a run, as a person reads them in a terminal.

use std::fmt::{self, Write};

use coupon_measure::Table;

use super::growth::statement;
use super::model::{Row, Standing};
use super::record::Bench;
use super::text;

/// The whole summary.
#[must_use]
pub fn text(bench: &Bench) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, bench);
    text
}

fn write_all(text: &mut String, bench: &Bench) -> fmt::Result {
    let mut table = Table::default().right(1..3);
    bench.rows().for_each(|row| table.row(cells(row)));
    let mut rows = table.lines(2).into_iter();
    for part in &bench.sections {
        writeln!(text, "\n{}: {} ({:.0} s)", part.name, part.what, part.seconds)?;
        if let Some(why) = &part.failed {
            writeln!(text, "  failed: {why}")?;
        }
        for row in rows.by_ref().take(part.rows.len()) {
            writeln!(text, "  {row}")?;
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

fn cells(row: &Row) -> [String; 4] {
    let claim = &row.claim;
    let figure = row.spread.as_ref().map_or("—".to_owned(), |spread| text::spread(spread, &claim.unit));
    let standing = text::standing(&row.standing);
    let standing = match &row.standing {
        Standing::NotRun(why) => format!("{standing}: {why}"),
        Standing::NotValid => format!("{standing}: {}", row.problems.join("; ")),
        Standing::Reached | Standing::Missed | Standing::NoTarget => standing.to_owned(),
    };
    [claim.id.to_string(), figure, text::target(claim), standing]
}
