//! The rows of a family: its targets in one table, and the figures beside them.

use std::fmt::{self, Write};

use coupon_measure::Table;

use super::{Notes, figures, link};
use crate::model::{Row, Standing};
use crate::text;

/// Writes them. Figures that are of the rows alone are columns of the same table, others a table that follows.
pub(super) fn write(text: &mut String, rows: &[&Row], notes: &Notes) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let against = against(rows);
    let beside = figures::beside(rows);
    let mut heads = vec!["id", "what", "target", "measured", ""];
    if against.is_none() {
        heads.insert(2, "against");
    }
    heads.extend(beside.iter().map(String::as_str));
    let mut table = Table::new(heads);
    for row in rows {
        let mut cells = cells(row, notes);
        if against.is_none() {
            cells.insert(
                2,
                if row.claim.against.is_empty() { "—".to_owned() } else { row.claim.against.to_string() },
            );
        }
        cells.extend(beside.iter().map(|what| figures::of_row(row, what)));
        table.row(cells);
    }
    write!(text, "\n{}", table.markdown())?;
    if beside.is_empty() { figures::write(text, rows) } else { Ok(()) }
}

/// The ceiling that all rows are held against; none where they differ.
pub(super) fn against<'a>(rows: &[&'a Row]) -> Option<&'a str> {
    common(rows.iter().map(|row| &*row.claim.against))
}

fn cells(row: &Row, notes: &Notes) -> Vec<String> {
    let claim = &row.claim;
    let unit = if claim.unit == "×" { "" } else { &claim.unit };
    let measured = row.spread.as_ref().map_or("—".to_owned(), |spread| text::spread(spread, unit));
    vec![claim.id.to_string(), claim.what.to_string(), text::target(claim), measured, verdict(row, notes)]
}

/// The verdict, linked to its cause; one that has none and wants one says so.
fn verdict(row: &Row, notes: &Notes) -> String {
    let (id, standing) = (&row.claim.id, text::standing(&row.standing));
    match &row.standing {
        Standing::Reached | Standing::NoTarget => link(notes, id, standing),
        Standing::Missed if notes.anchor(id).is_none() => format!("**{standing}**, no cause named yet"),
        Standing::Missed => link(notes, id, &format!("**{standing}**")),
        Standing::NotValid => format!("**{standing}**: {}", row.problems.join("; ")),
        Standing::NotRun(why) => format!("{standing}: {why}"),
    }
}

/// The text that all have in common; none where they differ.
fn common<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = texts.next()?;
    texts.all(|text| text == first).then_some(first)
}
