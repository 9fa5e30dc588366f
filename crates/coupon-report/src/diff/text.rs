//! A comparison of two reports for a terminal.

use std::io::{self, Write};

use coupon_measure::Table;
use coupon_measure::format::{self, number};
use coupon_measure::stats::{ERROR, Estimate};

use super::model::{ChangeVerdict, Diff, DiffRow, Unit};
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
        "{} worse, {} better, {} the same, {} undecided. Worse or better: chance would seldom make it, and it is at least {} \
         away; the same: the whole interval is less than that away.",
        count(ChangeVerdict::Worse),
        count(ChangeVerdict::Better),
        count(ChangeVerdict::Same),
        count(ChangeVerdict::Undecided),
        format::percent(least),
    );
    page.wrapped(&line, 0, 0)?;
    let (looks_worse, looks_better) = (count(ChangeVerdict::LooksWorse), count(ChangeVerdict::LooksBetter));
    if looks_worse + looks_better > 0 {
        let line = format!(
            "{looks_worse} look worse and {looks_better} better, which two single runs cannot tell from the machine's doing."
        );
        page.wrapped(&line, 0, 0)?;
    }
    page.wrapped(&by_chance(diff), 0, 0)?;
    for note in &diff.notes {
        page.wrapped(&format!("- {note}"), 0, 2)?;
    }
    for row in diff.rows.iter().filter(|row| row.change == ChangeVerdict::Worse) {
        let [label, before, after, ratio, _] = shown(row);
        let line = format!("{}: {label} {before} before, {after} after {ratio}", row.contestant);
        page.alarm(0, "WORSE ", &line, 2)?;
    }
    Ok(())
}

/// The error that the correction holds, and what is in it.
fn by_chance(diff: &Diff) -> String {
    let judged = diff.rows.iter().filter(|row| row.p.is_some()).count();
    let (figures, error) = (format::counted(judged as u64, "figure"), format::percent(ERROR));
    match diff.unit {
        Unit::Run => format!(
            "If runs are alike but for chance, any of these {figures} is called worse or better in {error} of comparisons at \
             most. Take those before and after in turn: a machine that warms up is called a change."
        ),
        Unit::Round => format!(
            "If rounds of both runs are alike but for chance, any of these {figures} is called worse or better in {error} of \
             comparisons at most. What the machine did in between is called a change."
        ),
        Unit::None => {
            "Only what is counted is judged: places visited, effective shards, failures.".to_owned()
        }
    }
}

fn cells(row: &DiffRow) -> Vec<String> {
    shown(row).to_vec()
}

fn shown(row: &DiffRow) -> [String; 5] {
    let figure = |estimate: Option<&Estimate>| estimate.map_or_else(|| "n/a".to_owned(), format::estimate);
    let change = match row.change {
        ChangeVerdict::Better => "better",
        ChangeVerdict::Worse => "WORSE",
        ChangeVerdict::Same => "same",
        ChangeVerdict::LooksBetter => "looks better",
        ChangeVerdict::LooksWorse => "looks worse",
        ChangeVerdict::Undecided => "undecided",
    };
    let ratio = row.ratio.as_ref().map_or_else(String::new, span);
    let change =
        row.reason.as_ref().map_or_else(|| change.to_owned(), |reason| format!("{change}: {reason}"));
    [with_unit(&row.label, row.unit), figure(row.before.as_ref()), figure(row.after.as_ref()), ratio, change]
}

/// A figure's label with its unit, where the label does not say it.
pub(crate) fn with_unit(label: &str, unit: &str) -> String {
    if unit.is_empty() || unit == "/s" { label.to_owned() } else { format!("{label}, {unit}") }
}

/// A ratio with two digits behind the point: close to 1 is where it matters.
fn span(ratio: &Estimate) -> String {
    let shown = |value: f64| if value < 10.0 { format!("{value:.2}") } else { number(value) };
    format!("{} ({}–{})", shown(ratio.median), shown(ratio.low), shown(ratio.high))
}
