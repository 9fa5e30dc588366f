//! The figures that go with rows: what the ceiling came to, where the CPU went.
//!
//! A figure called `kind: what` belongs to a kind of load, which several rows may share; any other to its row alone.

use std::fmt::{self, Write};

use coupon_measure::Table;
use coupon_measure::format::number;

use super::figure;
use crate::model::{NamedFigure, Row};
use crate::text::with_unit;

/// The names of the figures beside the rows, if none of them belongs to a kind of load.
pub(super) fn beside(rows: &[&Row]) -> Vec<String> {
    let figures = || rows.iter().flat_map(|row| &row.figures);
    let mut names: Vec<String> = Vec::new();
    if figures().all(|figure| parts(figure).0.is_empty()) {
        figures().for_each(|figure| add(&mut names, parts(figure).1));
    }
    names
}

/// A figure of a row, by its name.
pub(super) fn of_row(row: &Row, name: &str) -> String {
    let found = row.figures.iter().find(|figure| parts(figure).1 == name);
    found.map_or(String::new(), |found| figure(&found.spread, &found.unit))
}

/// Writes a table with a line for each kind of load.
pub(super) fn write(text: &mut String, rows: &[&Row]) -> fmt::Result {
    let kinds = kinds(rows);
    if kinds.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = Vec::new();
    kinds.iter().flat_map(|kind| &kind.figures).for_each(|figure| add(&mut names, parts(figure).1));
    let columns: Vec<&[String]> = columns(&names).collect();
    let mut table =
        Table::new(std::iter::once(String::new()).chain(columns.iter().map(|names| label(names))));
    for kind in &kinds {
        let cells = columns.iter().map(|names| kind.cell(names));
        table.row(std::iter::once(kind.title.clone()).chain(cells));
    }
    write!(text, "\n{}", table.markdown())
}

/// One kind of load, and its figures.
struct Kind<'a> {
    name: String,
    title: String,
    figures: Vec<&'a NamedFigure>,
}

impl<'a> Kind<'a> {
    fn find(&self, name: &str) -> Option<&'a NamedFigure> {
        self.figures.iter().find(|figure| parts(figure).1 == name).copied()
    }

    /// False when a figure of the same name came out otherwise: then both were measured, each for its own row.
    fn agrees_with(&self, kind: &str, figures: &[&NamedFigure]) -> bool {
        let same =
            |figure: &&NamedFigure| self.find(&parts(figure).1).is_none_or(|own| own.spread == figure.spread);
        self.name == kind && figures.iter().all(same)
    }

    /// The figures of these names, which are one or, of a numbered series, several.
    fn cell(&self, names: &[String]) -> String {
        let found: Vec<&NamedFigure> = names.iter().filter_map(|name| self.find(name)).collect();
        let medians = found.iter().map(|figure| figure.spread.known().map(|spread| number(spread.median)));
        match (&found[..], medians.collect::<Option<Vec<_>>>()) {
            ([], _) => String::new(),
            ([_, last, ..], Some(medians)) => with_unit(&medians.join(" / "), &last.unit),
            ([first, ..], _) => figure(&first.spread, &first.unit),
        }
    }
}

/// The kinds of load of some rows. Rows that share the figures of a kind share its line.
fn kinds<'a>(rows: &[&'a Row]) -> Vec<Kind<'a>> {
    let mut kinds: Vec<Kind<'a>> = Vec::new();
    for row in rows {
        let mut names = Vec::new();
        row.figures.iter().for_each(|figure| add(&mut names, parts(figure).0));
        for name in names {
            let figures: Vec<&NamedFigure> =
                row.figures.iter().filter(|figure| parts(figure).0 == name).collect();
            let known = kinds.iter().any(|kind| kind.name == name);
            match kinds.iter_mut().find(|kind| kind.agrees_with(&name, &figures)) {
                Some(kind) => {
                    let more = figures.into_iter().filter(|figure| kind.find(&parts(figure).1).is_none());
                    let more: Vec<&NamedFigure> = more.collect();
                    kind.figures.extend(more);
                }
                None => kinds.push(Kind { title: title(&name, known, row), name, figures }),
            }
        }
    }
    kinds
}

fn title(kind: &str, known: bool, row: &Row) -> String {
    match (kind, known) {
        ("", _) => row.claim.id.to_string(),
        (kind, false) => kind.to_owned(),
        (kind, true) => format!("{kind} ({})", row.claim.id),
    }
}

/// Names by column of the table: those of a numbered series (`shard-0`, `shard-1`, …) share one.
fn columns(names: &[String]) -> impl Iterator<Item = &[String]> {
    names.chunk_by(|one, next| stem(one).is_some() && stem(one) == stem(next))
}

fn stem(name: &str) -> Option<&str> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.len() < name.len() && stem.ends_with('-')).then_some(stem)
}

fn label(names: &[String]) -> String {
    match names {
        [first, .., last] => {
            let number = stem(last).and_then(|stem| last.strip_prefix(stem)).unwrap_or_default();
            format!("{first} to {number}")
        }
        names => names.concat(),
    }
}

/// The kind of load that a figure belongs to, which may be none, and its name.
fn parts(figure: &NamedFigure) -> (String, String) {
    let (kind, name) = figure.what.split_once(": ").unwrap_or(("", &figure.what));
    (kind.to_owned(), name.to_owned())
}

fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}
