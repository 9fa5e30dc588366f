//! The report's summary on a terminal: everything a person needs to choose, within its columns.

mod bars;
mod contestant;
mod growth;
mod round;
pub(super) mod text;
mod verdicts;

use std::io::{self, Write};

use anyhow::Context as _;
use coupon_measure::format::{self, count, number};
use coupon_measure::stats::coverage;

use self::text::Page;
pub use self::text::Screen;
use super::Report;
use super::model::{Advice, Topic};

/// Prints the summary on standard output. A reader that went away is no failure.
///
/// # Errors
/// When it cannot be written.
pub fn show(report: &Report) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let screen = Screen::of(&out);
    coupon_cli::heard(print(report, &mut out, screen)).context("cannot print the summary")
}

/// Prints the summary. Where colours are wanted, headings are bold and failures red; nothing is said by colour alone.
///
/// A report of a single contestant has nothing to choose by, and with a single round it shows more of that one.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(report: &Report, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    let page = &mut Page::new(out, screen);
    let report = &super::plain(report);
    let alone = report.contestants.len() == 1;
    head(report, page)?;
    if !alone {
        answer(report, page)?;
    }
    requirements(report, page)?;
    for contestant in &report.contestants {
        contestant::print(report, contestant, page)?;
    }
    if !alone {
        conclusions(report, page)?;
    }
    if !report.meta.unaudited {
        audit(report, page)?;
    }
    cautions(report, page)
}

/// The conclusions from comparing contestants.
fn conclusions(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Verdicts")?;
    verdicts::print(report, page)?;
    let of = |pick: fn(&Topic) -> bool| report.advice.iter().filter(move |advice| pick(&advice.topic));
    section(page, "Which, for which need", of(|topic| matches!(topic, Topic::Need(_))), true)?;
    section(page, "What each is good for", of(|topic| matches!(topic, Topic::Contestant(_))), false)?;
    section(page, "Cures and their price", of(|topic| matches!(topic, Topic::Cure(_))), false)?;
    section(page, "Baseline", of(|topic| matches!(topic, Topic::Baseline)), false)
}

fn head(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let meta = &report.meta;
    page.bold(&meta.title)?;
    let rate =
        meta.rate.map_or_else(|| "as fast as answers come".into(), |r| format!("{} requests/s", number(r)));
    // A service that was loaded where it ran has a backend and a history as well, but does not say which.
    let stored = if meta.backend.is_empty() {
        format!("{} connections", count(meta.connections.into()))
    } else {
        format!(
            "{} backend{}, {} rows of history, {}",
            meta.backend,
            format::quota(meta.shard_cpu),
            count(meta.history_rows),
            format::network(meta.shard_rtt_ms),
        )
    };
    let line = format!(
        "{}, {} of {} s, {rate}, workload {}, {stored}, seed {}, {}.",
        meta.date,
        format::counted(meta.rounds.into(), "round"),
        format::plain(meta.seconds_per_round),
        meta.workload,
        meta.seed,
        meta.machine.cores.show(|cores| format::counted((*cores).into(), "core")),
    );
    page.wrapped(&line, 0, 0)?;
    page.wrapped(&intervals(meta.rounds as usize), 0, 0)
}

/// The answer for this workload, what is to be doubted, each need with a bar for each contestant, and what would change it.
fn answer(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let answer = &report.answer;
    page.heading("Which, for this workload")?;
    page.wrapped(&answer.verdict, 0, 2)?;
    page.wrapped(&format!("({})", answer.certainty), 2, 2)?;
    for doubt in report.doubts_beside_answer() {
        page.alarm(2, "DOUBT ", &doubt, 4)?;
    }
    if report.needs.iter().all(|need| need.by.is_none()) {
        so_far(report, page)?;
    }
    bars::print(report, page)?;
    for (at, change) in answer.changes.iter().enumerate() {
        let start = if at == 0 { "What would change it: " } else { "" };
        page.wrapped(&format!("{start}{change}"), 2, 4)?;
    }
    Ok(())
}

/// Figures that nothing could be concluded from.
fn so_far(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    for figure in &report.answer.figures {
        let space = if figure.unit == "ms" { " " } else { "" };
        let own = format!("{}: {}{space}{}", figure.label, format::estimate(&figure.estimate), figure.unit);
        let against =
            if figure.against.is_empty() { String::new() } else { format!("; against {}", figure.against) };
        page.wrapped(&format!("{}, {own}{against}", figure.contestant), 2, 4)?;
    }
    Ok(())
}

fn requirements(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.requirements.is_empty() {
        return Ok(());
    }
    page.heading("Required")?;
    for requirement in &report.requirements {
        let text = requirement.to_string();
        match text.strip_prefix("NOT KEPT") {
            Some(rest) => page.alarm(2, "NOT KEPT", rest, 4)?,
            None => page.wrapped(&text, 2, 4)?,
        }
    }
    Ok(())
}

/// The legend of the brackets behind the figures.
fn intervals(rounds: usize) -> String {
    match coverage(rounds) {
        level if level > 0.0 => format!(
            "Figures are medians over rounds; in brackets, an interval that covers the true median with {} probability.",
            format::level(level)
        ),
        _ => "Figures are those of a single round: nothing says how far another would be from them.".into(),
    }
}

fn section<'a>(
    page: &mut Page<'_>,
    title: &str,
    advice: impl Iterator<Item = &'a Advice>,
    choice: bool,
) -> io::Result<()> {
    let mut advice = advice.peekable();
    if advice.peek().is_none() {
        return Ok(());
    }
    page.heading(title)?;
    for piece in advice {
        let chosen = match (choice, piece.choice.as_slice()) {
            (false, _) => String::new(),
            (true, []) => " — nothing to choose by".into(),
            (true, names) => format!(" — {}", format::list(names)),
        };
        page.bold(&format!("{}{chosen}", piece.heading))?;
        page.wrapped(&piece.text, 2, 2)?;
        page.wrapped(&format!("({})", piece.certainty), 2, 2)?;
    }
    Ok(())
}

fn audit(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Audit")?;
    let audit = &report.audit;
    let found: Vec<String> =
        audit.sums.violations().iter().map(|(name, _, violation)| violation.sentence(name)).collect();
    let audits = format::counted(audit.rounds_audited.into(), "audit");
    let made = format!(": {audits}, one after each contestant's round");
    match (audit.passed, audit.sums.passed()) {
        (true, _) => page.after("passed", &made, 2)?,
        (false, true) => page.alarm(0, "INCOMPLETE", &made, 2)?,
        (false, false) => page.alarm(0, "FAILED", &made, 2)?,
    }
    let sums = &audit.sums;
    let line = format!(
        "Grabs, with those of the warm-up: {} acknowledged, {} refused, {} unclear, {} stored: {}.",
        count(sums.acknowledged),
        count(sums.refused),
        count(sums.unknown),
        count(sums.stored),
        format::list(&found)
    );
    page.wrapped(&line, 2, 2)?;
    for (name, meaning, violation) in sums.violations().iter().filter(|(_, _, v)| v.count > 0) {
        let examples = violation.examples.join("; ");
        page.wrapped(&format!("{name} ({meaning}), for example: {examples}"), 2, 4)?;
    }
    for missing in &audit.rounds_not_audited {
        page.wrapped(&format!("not audited: {missing}"), 2, 4)?;
    }
    Ok(())
}

fn cautions(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.cautions.is_empty() && report.meta.warnings.is_empty() {
        return Ok(());
    }
    page.heading("Keep in mind")?;
    for caution in report.cautions.iter().chain(&report.meta.warnings) {
        page.wrapped(&format!("- {caution}"), 0, 2)?;
    }
    Ok(())
}
