//! A series of reports for a terminal.

use std::io::{self, Write};

use coupon_measure::Table;
use coupon_measure::format::{self, number};
use coupon_measure::stats::changes::{FEWEST, LEAST_SIDE};
use coupon_measure::stats::{ERROR, Estimate};

use super::{Figures, History, LastingChange, RunSeries};
use crate::diff::{ChangeVerdict, with_unit};
use crate::terminal::Screen;
use crate::terminal::text::Page;

/// Prints every figure with its changes, then what is worse where a series ends, in red where colours are wanted.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(history: &History, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    let page = &mut Page::new(out, screen);
    for (number, series) in (1..).zip(&history.series) {
        one(series, number, page)?;
        page.blank()?;
    }
    page.wrapped(&by_chance(history), 0, 0)?;
    for note in &history.notes {
        page.wrapped(&format!("- {note}"), 0, 2)?;
    }
    for (number, series) in (1..).zip(&history.series) {
        let of = if history.series.len() > 1 { format!("series {number}, ") } else { String::new() };
        if series.audit_broken {
            page.alarm(0, "WORSE ", &format!("{of}audit: it passed before and fails in the last run"), 2)?;
        }
        for (figures, changed) in series.worse() {
            let line = format!("{of}{}: {}", figures.contestant, sentence(series, figures, changed));
            page.alarm(0, "WORSE ", &line, 2)?;
        }
    }
    Ok(())
}

fn one(series: &RunSeries, number: usize, page: &mut Page<'_>) -> io::Result<()> {
    page.bold(&format!("Series {number}: {}", series.span()))?;
    page.wrapped(&format!("{}.", series.conditions), 2, 2)?;
    for difference in &series.apart {
        page.wrapped(&format!("Apart from series {}: {difference}", number - 1), 2, 4)?;
    }
    for (nth, run) in (1..).zip(&series.runs) {
        if let Some(reason) = &run.left_out {
            page.wrapped(&format!("Run {nth} ({}): no rates and times. {reason}", run.name), 2, 4)?;
        }
    }
    if let Some(why) = cannot_say(series) {
        page.alarm(2, "CANNOT SAY", &format!(": {why}"), 4)?;
    }
    if !series.has_runs_enough() {
        return Ok(());
    }
    let mut contestants: Vec<&str> = series.figures.iter().map(|of| of.contestant.as_str()).collect();
    contestants.dedup();
    for contestant in contestants {
        page.bold(contestant)?;
        let mut table = Table::new(["", "first", "last", "changes, at run"]);
        table.extend(series.figures.iter().filter(|of| of.contestant == contestant).map(cells));
        page.table(&table)?;
    }
    for at in series.places() {
        place(series, at, page)?;
    }
    Ok(())
}

/// The reason why nothing can be said of a series, or of some of its figures, if that is so.
pub(crate) fn cannot_say(series: &RunSeries) -> Option<String> {
    let takes =
        format!("it takes {FEWEST} of the same to tell a change from how far runs differ by themselves");
    if !series.has_runs_enough() {
        return Some(format!("{}; {takes}", format::counted(series.runs.len() as u64, "run")));
    }
    let few = |of: &Figures| {
        let known = of.points.iter().flatten().count();
        format!("{}: {} ({known})", of.contestant, of.label)
    };
    let few: Vec<String> = series.not_judged().map(few).collect();
    (!few.is_empty())
        .then(|| format!("{takes}; fewer runs have these figures, in brackets how many: {}", few.join(", ")))
}

fn cells(figures: &Figures) -> Vec<String> {
    let shown =
        |point: Option<&Estimate>| point.map_or_else(|| "n/a".to_owned(), |point| number(point.median));
    let changes: Vec<String> = figures
        .changes
        .iter()
        .map(|changed| format!("{} {} at {}", word(changed), by(changed), changed.at + 1))
        .collect();
    let known = || figures.points.iter().flatten();
    vec![
        with_unit(&figures.label, figures.unit),
        shown(known().next()),
        shown(known().last()),
        if changes.is_empty() { "none".to_owned() } else { changes.join("; ") },
    ]
}

/// A place, with what changed there and what else was new.
fn place(series: &RunSeries, at: usize, page: &mut Page<'_>) -> io::Result<()> {
    let Some(run) = series.runs.get(at) else { return Ok(()) };
    let count =
        |wanted: ChangeVerdict| series.changes_at(at).filter(|(_, changed)| changed.change == wanted).count();
    let counts = format!("{} worse, {} better", count(ChangeVerdict::Worse), count(ChangeVerdict::Better));
    let differs = if run.differs.is_empty() {
        String::new()
    } else {
        format!("; new there: {}", run.differs.join(", "))
    };
    page.wrapped(&format!("At run {} ({}, {}): {counts}{differs}.", at + 1, run.date, run.name), 2, 4)
}

/// A change of a figure in words: `grab p99, ms 4.10 before, 6.20 after (1.51×), since run 12 of 20, 2026-11-02T10:00:00Z`.
pub(crate) fn sentence(series: &RunSeries, figures: &Figures, changed: &LastingChange) -> String {
    let since = series.runs.get(changed.at).map_or("", |run| run.date.as_str());
    format!(
        "{} {} before, {} after ({}), since run {} of {}, {since}",
        with_unit(&figures.label, figures.unit),
        number(changed.before),
        number(changed.after),
        by(changed),
        changed.at + 1,
        series.runs.len(),
    )
}

/// The size of a change.
pub(crate) fn by(changed: &LastingChange) -> String {
    match changed.ratio {
        Some(ratio) => format::times(ratio),
        None => format!("{} → {}", number(changed.before), number(changed.after)),
    }
}

pub(crate) fn word(changed: &LastingChange) -> &'static str {
    if changed.change == ChangeVerdict::Worse { "WORSE" } else { "better" }
}

/// The error that is held, and by what.
pub(crate) fn by_chance(history: &History) -> String {
    format!(
        "A change is told where it lasted {LEAST_SIDE} runs, is at least {}, and chance would seldom make one as clear: of a series in \
         which nothing changed, any figure is said to change in {} of cases at most, over all its figures together.",
        format::percent(history.least),
        format::percent(ERROR)
    )
}
