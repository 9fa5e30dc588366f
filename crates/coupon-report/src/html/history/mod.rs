//! A series of reports as one page: a small chart for each figure, run by run, with its changes marked.

mod chart;

use coupon_measure::format;
use maud::{Markup, html};

use super::page;
use super::svg::folded;
use crate::diff::ChangeVerdict;
use crate::history::{Figures, History, RunSeries, by_chance, cannot_say, sentence};

/// The page.
#[must_use]
pub fn render(history: &History) -> String {
    let body = html! {
        header {
            h1 { "Reports over time" }
            p.lead { (by_chance(history)) }
        }
        main {
            (answer(history))
            @if history.series.len() > 1 { (contents(history)) }
            @for (number, series) in (1..).zip(&history.series) { (section(number, series)) }
        }
    };
    page("Reports over time", &body)
}

/// The figures that are better or worse where the series end, and those that cannot be judged.
fn answer(history: &History) -> Markup {
    let worse = history.series.iter().map(|series| series.worse().count()).sum::<usize>() as u64;
    let verdict = match (history.is_worse(), history.is_judged()) {
        (true, _) if worse == 0 => "An audit that passed before fails.".to_owned(),
        (true, _) => format!("{} worse than before.", are(worse)),
        (false, true) => "Nothing is worse than before.".to_owned(),
        (false, false) => "It cannot be told whether anything is worse.".to_owned(),
    };
    html! {
        div.answer {
            p.verdict { (verdict) }
            ul.meaning {
                @for (number, series) in (1..).zip(&history.series) {
                    @if series.audit_broken { li.bad { "Series " (number) ": the audit passed before and fails in the last run" } }
                    @for (at, figures) in series.figures.iter().enumerate() {
                        @if let Some(changed) = figures.changes.last() {
                            li {
                                @if changed.change == ChangeVerdict::Worse { strong.bad { "▼ worse" } } @else { span.good { "▲ better" } }
                                " " a href={ "#" (place(number, at)) } { (figures.contestant) ": " (sentence(series, figures, changed)) }
                            }
                        }
                    }
                    @if let Some(why) = cannot_say(series) { li { "Series " (number) ": " (why) } }
                }
                @for note in &history.notes { li { (note) } }
            }
        }
    }
}

fn are(figures: u64) -> String {
    format!("{} {}", format::counted(figures, "figure"), if figures == 1 { "is" } else { "are" })
}

fn contents(history: &History) -> Markup {
    html! {
        nav aria-label="Series" {
            @for number in 1..=history.series.len() { a href={ "#series-" (number) } { "Series " (number) } }
        }
    }
}

/// The id of a figure's chart.
fn place(series: usize, figure: usize) -> String {
    format!("s{series}-f{figure}")
}

fn section(number: usize, series: &RunSeries) -> Markup {
    let mut contestants: Vec<&str> = series.figures.iter().map(|of| of.contestant.as_str()).collect();
    contestants.dedup();
    html! {
        section id={ "series-" (number) } {
            h2 { "Series " (number) ": " (series.span()) }
            p.key { (series.conditions) "." }
            @if !series.apart.is_empty() {
                ul.notes { @for difference in &series.apart { li { "Apart from series " (number - 1) ": " (difference) } } }
            }
            (runs(series))
            @for contestant in contestants { (of_contestant(number, series, contestant)) }
        }
    }
}

fn runs(series: &RunSeries) -> Markup {
    let row = |(nth, run): (usize, &crate::history::Run)| {
        let audit = if run.audit_passed { "kept" } else { "✗ broken" };
        let mut notes = run.differs.clone();
        notes.extend(run.left_out.as_ref().map(|reason| format!("no rates and times: {reason}")));
        vec![nth.to_string(), run.date.clone(), run.name.clone(), audit.to_owned(), notes.join("; ")]
    };
    let rows: Vec<Vec<String>> = (1..).zip(&series.runs).map(row).collect();
    folded("The runs", &["run", "began", "report", "promises", "new there"], &rows)
}

/// The charts of a contestant: those that change first, and the others where they are asked for.
fn of_contestant(number: usize, series: &RunSeries, contestant: &str) -> Markup {
    let all = || series.figures.iter().enumerate().filter(|(_, of)| of.contestant == contestant);
    let changed = || all().filter(|(_, of)| !of.changes.is_empty());
    let others = || all().filter(|(_, of)| of.changes.is_empty());
    html! {
        h3 { (contestant) }
        @if changed().next().is_some() { (panels(number, series, changed())) }
        @if others().next().is_some() {
            details open[series.places().is_empty()] {
                summary { (format::counted(others().count() as u64, "figure")) " without a change" }
                (panels(number, series, others()))
            }
        }
    }
}

fn panels<'a>(
    number: usize,
    series: &RunSeries,
    figures: impl Iterator<Item = (usize, &'a Figures)>,
) -> Markup {
    html! {
        div.panels { @for (at, of) in figures { (chart::panel_of(&place(number, at), series, of)) } }
    }
}
