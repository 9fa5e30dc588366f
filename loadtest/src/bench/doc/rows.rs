//! Rows: the table of all, then what there is to say about each.

use std::fmt::{self, Write};

use super::{Notes, cell, figure};
use crate::bench::model::{Figure, Row, Standing};
use crate::bench::record::Bench;
use crate::bench::shown;

pub(super) fn write_table(text: &mut String, bench: &Bench) -> fmt::Result {
    writeln!(
        text,
        "\n## Targets\n\n| id | what | against | target | measured | |\n|---|---|---|---|---|---|"
    )?;
    for row in bench.rows() {
        let claim = &row.claim;
        let measured = row.spread.as_ref().map_or("—".to_owned(), |spread| {
            shown::spread(spread, if claim.unit == "×" { "" } else { &claim.unit })
        });
        let against = if claim.against.is_empty() { "—" } else { &claim.against };
        let id = if has_details(row) { format!("[{0}](#{0})", claim.id) } else { claim.id.to_string() };
        let (target, verdict) = (shown::target(claim), verdict(row));
        writeln!(
            text,
            "| {id} | {} | {} | {target} | {measured} | {verdict} |",
            cell(&claim.what),
            cell(against)
        )?;
    }
    Ok(())
}

fn verdict(row: &Row) -> String {
    let standing = shown::standing(&row.standing);
    match &row.standing {
        Standing::Reached => standing.to_owned(),
        Standing::Missed | Standing::NotValid => format!("**{standing}**"),
        Standing::NotRun(why) => format!("{standing}: {}", cell(why)),
    }
}

fn has_details(row: &Row) -> bool {
    !row.figures.is_empty() || !row.problems.is_empty() || row.standing == Standing::Missed
}

pub(super) fn write_details(text: &mut String, bench: &Bench, notes: &Notes) -> fmt::Result {
    writeln!(text, "\n## Row by row")?;
    for row in bench.rows() {
        let note = notes.of(&row.claim.id);
        if has_details(row) || note.is_some() {
            write_one(text, row, note)?;
        }
    }
    Ok(())
}

fn write_one(text: &mut String, row: &Row, note: Option<&str>) -> fmt::Result {
    let id = &row.claim.id;
    writeln!(text, "\n### {id}\n\n{}: {}.", row.claim.what, shown::standing(&row.standing))?;
    for problem in &row.problems {
        writeln!(text, "- not valid: {}", cell(problem))?;
    }
    match note {
        Some(note) => writeln!(text, "\n{note}")?,
        None if row.standing == Standing::Missed => {
            writeln!(text, "\n*Nobody has said yet why: `docs/benchmarks/{id}.md` is missing.*")?;
        }
        None => {}
    }
    if row.figures.is_empty() {
        return Ok(());
    }
    write_figures(text, &row.figures)
}

/// A table of figures: those that are called `kind: what` have a column for each kind.
fn write_figures(text: &mut String, figures: &[Figure]) -> fmt::Result {
    let parts = |figure: &Figure| {
        let (kind, what) = figure.what.split_once(": ").unwrap_or(("", &figure.what));
        (cell(kind), cell(what))
    };
    let (mut kinds, mut whats) = (Vec::new(), Vec::new());
    for (kind, what) in figures.iter().map(parts) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        if !whats.contains(&what) {
            whats.push(what);
        }
    }
    writeln!(text, "\n| | {} |\n|{}", kinds.join(" | "), "---|".repeat(kinds.len() + 1))?;
    for what in &whats {
        let of = |kind: &String| figures.iter().find(|found| parts(found) == (kind.clone(), what.clone()));
        let shown = |kind| of(kind).map_or(String::new(), |found| figure(&found.spread, &found.unit));
        writeln!(text, "| {what} | {} |", kinds.iter().map(shown).collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}
