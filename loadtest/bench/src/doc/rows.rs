//! The rows of a family: its targets in one table, and the figures beside them.

use std::fmt::{self, Write};

use super::{Notes, cell, figures, link};
use crate::model::{Row, Standing};
use crate::shown;

/// Writes them. Figures that are of the rows alone are columns of the same table, others a table that follows.
pub(super) fn write(text: &mut String, rows: &[&Row], notes: &Notes) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let against = common(rows.iter().map(|row| &*row.claim.against));
    if let Some(against) = against.filter(|against| !against.is_empty()) {
        writeln!(text, "Held against: {against}.")?;
    }
    let beside = figures::beside(rows);
    let mut heads = vec!["id", "what", "target", "measured", ""];
    if against.is_none() {
        heads.insert(2, "against");
    }
    heads.extend(beside.iter().map(String::as_str));
    writeln!(text, "\n| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()))?;
    for row in rows {
        let mut cells = cells(row, notes);
        if against.is_none() {
            cells.insert(2, cell(if row.claim.against.is_empty() { "—" } else { &row.claim.against }));
        }
        cells.extend(beside.iter().map(|what| figures::of_row(row, what)));
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    if beside.is_empty() { figures::write(text, rows) } else { Ok(()) }
}

fn cells(row: &Row, notes: &Notes) -> Vec<String> {
    let claim = &row.claim;
    let unit = if claim.unit == "×" { "" } else { &claim.unit };
    let measured = row.spread.as_ref().map_or("—".to_owned(), |spread| shown::spread(spread, unit));
    vec![claim.id.to_string(), cell(&claim.what), shown::target(claim), measured, verdict(row, notes)]
}

/// The verdict, linked to its cause; one that has none and wants one says so.
fn verdict(row: &Row, notes: &Notes) -> String {
    let (id, standing) = (&row.claim.id, shown::standing(&row.standing));
    match &row.standing {
        Standing::Reached => link(notes, id, standing),
        Standing::Missed if notes.anchor(id).is_none() => format!("**{standing}**, no cause named yet"),
        Standing::Missed => link(notes, id, &format!("**{standing}**")),
        Standing::NotValid => format!("**{standing}**: {}", cell(&row.problems.join("; "))),
        Standing::NotRun(why) => format!("{standing}: {}", cell(why)),
    }
}

/// The text that all have in common; none where they differ.
fn common<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = texts.next()?;
    texts.all(|text| text == first).then_some(first)
}
