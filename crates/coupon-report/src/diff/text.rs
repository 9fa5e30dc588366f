//! A comparison of two reports for a terminal.

use std::io::{self, Write};

use coupon_measure::Table;
use coupon_measure::format::{self, number};
use coupon_measure::stats::Estimate;

use super::{Change, Diff, Row};
use crate::terminal::Screen;
use crate::terminal::text::Page;

/// Prints every figure, then what became worse, in red where colours are wanted.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(diff: &Diff, least: f64, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    let page = &mut Page::new(out, screen);
    let mut contestants: Vec<&str> = diff.rows.iter().map(|row| row.contestant.as_str()).collect();
    contestants.dedup();
    for contestant in contestants {
        page.bold(contestant)?;
        let mut table = Table::new(["", "before", "after", "after ÷ before", ""]);
        table.extend(diff.rows.iter().filter(|row| row.contestant == contestant).map(cells));
        page.table(&table)?;
        page.blank()?;
    }
    let count = |change| diff.count(change);
    let line = format!(
        "{} worse, {} better, {} the same, {} undecided. Worse or better: the interval of the rounds' ratios excludes 1, and \
         their median is at least {} away; the same: the whole interval is less than that away.",
        count(Change::Worse),
        count(Change::Better),
        count(Change::Same),
        count(Change::Undecided),
        format::percent(least),
    );
    page.wrapped(&line, 0, 0)?;
    page.wrapped(&by_chance(diff), 0, 0)?;
    for note in &diff.notes {
        page.wrapped(&format!("- {note}"), 0, 2)?;
    }
    for row in diff.rows.iter().filter(|row| row.change == Change::Worse) {
        let [label, before, after, ratio, _] = shown(row);
        let line = format!("{}: {label} {before} before, {after} after {ratio}", row.contestant);
        page.alarm(0, "WORSE ", &line, 2)?;
    }
    Ok(())
}

/// Counted figures err by no chance, but to leave them out would be to promise less than this.
fn by_chance(diff: &Diff) -> String {
    let judged = || diff.rows.iter().filter(|row| row.reason.is_none()).filter_map(|row| row.ratio.as_ref());
    let chance: f64 = judged().map(|ratio| (1.0 - ratio.level) / 2.0).sum();
    format!(
        "Of {} comparisons, chance alone would call about {} at most worse, and as many better.",
        judged().count(),
        format::count(chance.round() as u64)
    )
}

fn cells(row: &Row) -> Vec<String> {
    shown(row).to_vec()
}

fn shown(row: &Row) -> [String; 5] {
    let figure = |estimate: Option<&Estimate>| estimate.map_or_else(|| "n/a".to_owned(), format::estimate);
    let change = match row.change {
        Change::Better => "better",
        Change::Worse => "WORSE",
        Change::Same => "same",
        Change::Undecided => "undecided",
    };
    let label = if row.unit.is_empty() || row.unit == "/s" {
        row.label.clone()
    } else {
        format!("{}, {}", row.label, row.unit)
    };
    let ratio = row.ratio.as_ref().map_or_else(String::new, span);
    let change =
        row.reason.as_ref().map_or_else(|| change.to_owned(), |reason| format!("{change}: {reason}"));
    [label, figure(row.before.as_ref()), figure(row.after.as_ref()), ratio, change]
}

/// A ratio with two digits behind the point: close to 1 is where it matters.
fn span(ratio: &Estimate) -> String {
    let shown = |value: f64| if value < 10.0 { format!("{value:.2}") } else { number(value) };
    format!("{} ({}–{})", shown(ratio.median), shown(ratio.low), shown(ratio.high))
}
