//! The report's summary on a terminal: everything a person needs to choose, within 100 columns.

mod contestant;
pub(super) mod text;
mod verdicts;

use std::io::{self, IsTerminal, Write};

use coupon_measure::format::{self, count, number};
use coupon_measure::stats::coverage;

use self::text::{Paint, wrapped};
use super::Report;
use super::model::{Advice, Topic};

/// The widest line, in characters.
pub(crate) const WIDTH: usize = 100;

/// True when colours are wanted on that output: only by people at a terminal that can show them and who did not ask for none
/// (<https://no-color.org>).
pub fn wants_colour(out: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    coupon_cli::screen::obeys(out) && !set("NO_COLOR")
}

/// Prints the summary. With `colour`, headings are bold and failures red; nothing is said by colour alone.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(report: &Report, out: &mut impl Write, colour: bool) -> io::Result<()> {
    let paint = Paint(colour);
    let out: &mut dyn Write = out;
    let report = &super::plain(report);
    head(report, out, paint)?;
    answer(report, out, paint)?;
    requirements(report, out, paint)?;
    for contestant in &report.contestants {
        contestant::print(report, contestant, out, paint)?;
    }
    heading(out, paint, "Verdicts")?;
    verdicts::print(report, out, paint)?;
    let of = |pick: fn(&Topic) -> bool| report.advice.iter().filter(move |advice| pick(&advice.topic));
    section(out, paint, "Which, for which need", of(|topic| matches!(topic, Topic::Need(_))), true)?;
    section(out, paint, "What each is good for", of(|topic| matches!(topic, Topic::Contestant(_))), false)?;
    section(out, paint, "Cures and their price", of(|topic| matches!(topic, Topic::Cure(_))), false)?;
    section(out, paint, "Baseline", of(|topic| matches!(topic, Topic::Baseline)), false)?;
    audit(report, out, paint)?;
    cautions(report, out, paint)
}

fn heading(out: &mut dyn Write, paint: Paint, text: &str) -> io::Result<()> {
    writeln!(out, "\n{}\n", paint.bold(&text.to_uppercase()))
}

fn head(report: &Report, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
    let meta = &report.meta;
    writeln!(out, "{}", paint.bold(&meta.title))?;
    let rate =
        meta.rate.map_or_else(|| "as fast as answers come".into(), |r| format!("{} requests/s", number(r)));
    let line = format!(
        "{}, {} of {} s, {rate}, workload {}, {} backend{}, {} rows of history, {}, seed {}, {}.",
        meta.date,
        format::counted(meta.rounds.into(), "round"),
        format::plain(meta.seconds_per_round),
        meta.workload,
        meta.backend,
        format::quota(meta.shard_cpu),
        count(meta.history_rows),
        format::network(meta.shard_rtt_ms),
        meta.seed,
        meta.machine.cores.show(|cores| format::counted((*cores).into(), "core")),
    );
    wrapped(out, &line, 0, 0)?;
    wrapped(out, &intervals(meta.rounds as usize), 0, 0)
}

/// The answer for this workload, its figures, and the changes that would change it.
fn answer(report: &Report, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
    let answer = &report.answer;
    heading(out, paint, "Which, for this workload")?;
    wrapped(out, &answer.verdict, 0, 2)?;
    for figure in &answer.figures {
        let space = if figure.unit == "ms" { " " } else { "" };
        let own = format!("{}: {}{space}{}", figure.label, format::estimate(&figure.estimate), figure.unit);
        let against =
            if figure.against.is_empty() { String::new() } else { format!("; against {}", figure.against) };
        wrapped(out, &format!("{}, {own}{against}", figure.contestant), 2, 4)?;
    }
    wrapped(out, &format!("({})", answer.certainty), 2, 2)?;
    for (at, change) in answer.changes.iter().enumerate() {
        let start = if at == 0 { "What would change it: " } else { "" };
        wrapped(out, &format!("{start}{change}"), 2, 4)?;
    }
    Ok(())
}

fn requirements(report: &Report, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
    if report.requirements.is_empty() {
        return Ok(());
    }
    heading(out, paint, "Required")?;
    for requirement in &report.requirements {
        let text = requirement.to_string();
        match text.strip_prefix("NOT KEPT") {
            Some(rest) => writeln!(out, "  {}{rest}", paint.red("NOT KEPT"))?,
            None => writeln!(out, "  {text}")?,
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
    out: &mut dyn Write,
    paint: Paint,
    title: &str,
    advice: impl Iterator<Item = &'a Advice>,
    choice: bool,
) -> io::Result<()> {
    let mut advice = advice.peekable();
    if advice.peek().is_none() {
        return Ok(());
    }
    heading(out, paint, title)?;
    for piece in advice {
        let chosen = match (choice, piece.choice.as_slice()) {
            (false, _) => String::new(),
            (true, []) => " — nothing to choose by".into(),
            (true, names) => format!(" — {}", format::list(names)),
        };
        writeln!(out, "{}", paint.bold(&format!("{}{chosen}", piece.heading)))?;
        wrapped(out, &piece.text, 2, 2)?;
        wrapped(out, &format!("({})", piece.certainty), 2, 2)?;
    }
    Ok(())
}

fn audit(report: &Report, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
    heading(out, paint, "Audit")?;
    let audit = &report.audit;
    let verdict = match (audit.passed, audit.sums.passed()) {
        (true, _) => "passed".to_owned(),
        (false, true) => paint.red("INCOMPLETE"),
        (false, false) => paint.red("FAILED"),
    };
    let found: Vec<String> =
        audit.sums.violations().iter().map(|(name, _, violation)| violation.told(name)).collect();
    let audits = format::counted(audit.rounds_audited.into(), "audit");
    writeln!(out, "{verdict}: {audits}, one after each contestant's round")?;
    let sums = &audit.sums;
    let line = format!(
        "Grabs, with those of the warm-up: {} acknowledged, {} refused, {} unclear, {} stored: {}.",
        count(sums.acknowledged),
        count(sums.refused),
        count(sums.unknown),
        count(sums.stored),
        format::list(&found)
    );
    wrapped(out, &line, 2, 2)?;
    for (name, meaning, violation) in sums.violations().iter().filter(|(_, _, v)| v.count > 0) {
        let examples = violation.examples.join("; ");
        wrapped(out, &format!("{name} ({meaning}), for example: {examples}"), 2, 4)?;
    }
    for missing in &audit.rounds_not_audited {
        wrapped(out, &format!("not audited: {missing}"), 2, 4)?;
    }
    Ok(())
}

fn cautions(report: &Report, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
    if report.cautions.is_empty() && report.meta.warnings.is_empty() {
        return Ok(());
    }
    heading(out, paint, "Keep in mind")?;
    for caution in report.cautions.iter().chain(&report.meta.warnings) {
        wrapped(out, &format!("- {caution}"), 0, 2)?;
    }
    Ok(())
}
