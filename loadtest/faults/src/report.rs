//! The results of all cases: on the terminal, as JSON, and as a table for the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use coupon_audit::Kind;
use coupon_measure::Table;
use coupon_strategies::REGISTER;
use serde::Serialize;

use super::MatrixOptions;
use super::ablation::{Ablation, find_ablation};
use super::case_result::{CaseResult, CaseVerdict};
use super::proof::Proof;
use super::service_result::ServiceResult;

/// The results of all cases.
#[derive(Debug, Clone, Serialize)]
pub struct MatrixReport {
    /// The day on which they were run.
    pub date: String,
    /// Requests a second to each service.
    pub rate: f64,
    /// The seed that all random choices followed from.
    pub seed: u64,
    /// The time that all of it took, in seconds.
    pub took_s: f64,
    /// The result of each case.
    pub rows: Vec<CaseResult>,
}

/// The cells of a row of the table.
fn cells(result: &CaseResult) -> Vec<String> {
    let each = |of: fn(&ServiceResult) -> String| {
        let values: Vec<String> = result.observed.iter().map(of).collect();
        if values.is_empty() { "–".to_owned() } else { values.join(" / ") }
    };
    let mut cells = vec![
        result.id.to_owned(),
        result.fault.to_owned(),
        result.promised.to_owned(),
        match &result.verdict {
            CaseVerdict::Held => "held".to_owned(),
            CaseVerdict::Broken(_) => "BROKEN".to_owned(),
            // The first line says it; a log may follow.
            CaseVerdict::NotRun(why) => format!("not run: {}", why.lines().next().unwrap_or_default()),
        },
        result.proof.as_ref().map_or_else(|| "–".to_owned(), Proof::to_string),
        each(|seen| format!("{:.1}", seen.pressed.mean_batch)),
        each(|seen| seen.pressed.grabs_in_flight.to_string()),
        each(|seen| seen.granted.to_string()),
        each(|seen| format!("{}, {}", seen.asked.shown, seen.asked.spent)),
        each(|seen| seen.steps.to_string()),
        each(|seen| seen.unclear().to_string()),
        result.observed.first().map_or_else(|| "–".to_owned(), |seen| seconds(seen.fault_ms)),
        each(|seen| seconds(seen.longest_silence_ms)),
        each(|seen| seconds(seen.unclear_for_ms)),
        each(|seen| seconds(seen.settled_ms)),
    ];
    for kind in [Kind::Lost, Kind::Duplicate, Kind::Oversold, Kind::Invented, Kind::Miscounted] {
        let none = result.observed.is_empty();
        cells.push(if none { "–".to_owned() } else { result.count(kind).to_string() });
    }
    cells
}

/// The names of the columns.
const HEAD: [&str; 20] = [
    "",
    "fault",
    "promised beside zero",
    "observed",
    "proof of the fault",
    "grabs a batch",
    "in flight",
    "granted",
    "read, spent",
    "confirmed, released, used, returned",
    "unclear",
    "fault s",
    "silent s",
    "unclear for s",
    "settled s",
    "lost",
    "duplicate",
    "oversold",
    "invented",
    "leaked",
];

impl MatrixReport {
    pub(super) fn new(options: &MatrixOptions, rows: Vec<CaseResult>, took: Duration) -> Self {
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            rate: options.rate,
            seed: options.seed,
            took_s: took.as_secs_f64(),
            rows,
        }
    }

    /// Says whether every case was run and held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == CaseVerdict::Held)
    }

    /// Says whether mechanisms were left out, and every case has found it.
    #[must_use]
    pub fn found(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.found.is_some())
    }

    /// A table for a terminal: a block for each row would be easier to read, and harder to compare.
    #[must_use]
    pub fn table(&self) -> String {
        // The promise and the proof take too much room there.
        let short = |cells: Vec<String>| -> Vec<String> {
            let kept = cells.into_iter().enumerate().filter(|(at, _)| !matches!(at, 2 | 4));
            kept.map(|(at, cell)| if at == 3 { first_words(&cell) } else { cell }).collect()
        };
        let mut table = Table::new(short(HEAD.map(str::to_owned).to_vec())).right(0..0);
        table.extend(self.rows.iter().map(|row| short(cells(row))));
        table.text()
    }

    /// The same as a table of a Markdown document.
    #[must_use]
    pub fn markdown(&self, command: &str) -> String {
        let mut table = Table::new(HEAD);
        table.extend(self.rows.iter().map(cells));
        let services: Vec<&str> =
            REGISTER.of_each_program().iter().map(|family| family.program.section()).collect();
        let (summary, services) = (self.summary(command), services.join(" and "));
        format!("{summary} Several figures are those of {services}.\n\n{}", table.markdown())
    }

    /// The findings on the mechanisms that were left out, for a terminal.
    #[must_use]
    pub fn table_of_ablations(&self) -> String {
        self.ablations(Ablation::name).right(0..0).text()
    }

    /// The same as a table of a Markdown document.
    #[must_use]
    pub fn markdown_of_ablations(&self, command: &str) -> String {
        let named = |ablation: &Ablation| format!("`{ablation}`: {}", ablation.instead);
        format!("{}\n\n{}", self.summary(command), self.ablations(named).markdown())
    }

    fn ablations<T: Into<String>>(&self, named: impl Fn(&'static Ablation) -> T) -> Table {
        let mut table = Table::new(ABLATIONS_HEAD);
        table.extend(self.rows.iter().filter_map(|row| ablation_cells(row, &named)));
        table
    }

    fn summary(&self, command: &str) -> String {
        let Self { date, rate, took_s, .. } = self;
        let minutes = (took_s / 60.0).ceil();
        format!("{date}, `{command}`, {rate} requests a second to each service, {minutes:.0} minutes.")
    }
}

/// The names of the columns where mechanisms are left out.
const ABLATIONS_HEAD: [&str; 4] = ["without", "row", "must find", "found"];

fn ablation_cells<T: Into<String>>(
    row: &CaseResult,
    named: impl Fn(&'static Ablation) -> T,
) -> Option<Vec<String>> {
    let ablation = find_ablation(row.without?)?;
    let found = row.found.clone().unwrap_or_else(|| match &row.verdict {
        CaseVerdict::NotRun(why) => format!("not run: {}", why.lines().next().unwrap_or_default()),
        CaseVerdict::Held | CaseVerdict::Broken(_) => "NOT FOUND".to_owned(),
    });
    Some(vec![named(ablation).into(), row.id.to_owned(), ablation.must_find.to_owned(), found])
}

/// A result in one line, as soon as it is there, and under it everything that was not as promised.
#[must_use]
pub fn line(row: &CaseResult) -> String {
    let without = row.without.map_or_else(String::new, |without| format!(" without {without}"));
    let mut text = format!("{:>3} {}{without}: ", row.id, row.fault);
    match &row.verdict {
        CaseVerdict::Held => text.push_str("held"),
        CaseVerdict::NotRun(why) => {
            let _ = write!(text, "not run: {why}");
        }
        CaseVerdict::Broken(why) => {
            let _ = write!(text, "BROKEN\n      {}", why.join("\n      "));
        }
    }
    let _ = write!(text, " ({:.0} s)", row.took_s);
    if let Some(proof) = &row.proof {
        let _ = write!(text, "\n      {proof}");
    }
    for seen in &row.observed {
        let _ = write!(
            text,
            "\n      {}: {:.1} grabs a batch and {} in flight when it came; {} results read, {} spent; steps: {}, of which {} \
             were refused as too late",
            seen.service,
            seen.pressed.mean_batch,
            seen.pressed.grabs_in_flight,
            seen.asked.shown,
            seen.asked.spent,
            seen.steps,
            seen.steps.too_late
        );
    }
    for note in &row.notes {
        let _ = write!(text, "\n      {note}");
    }
    text
}

/// The part that a narrow column has room for; the rest was shown when the case was run.
fn first_words(cell: &str) -> String {
    cell.split(':').next().unwrap_or_default().to_owned()
}

fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StackKind;

    fn report(row: &CaseResult) -> MatrixReport {
        let options = MatrixOptions {
            cases: Vec::new(),
            rate: 1.0,
            seed: 1,
            logs: "logs".into(),
            stack: StackKind::Plain,
            plain: true,
        };
        MatrixReport::new(&options, vec![row.clone()], Duration::ZERO)
    }

    #[test]
    fn a_case_that_was_not_run_fails_the_whole() {
        let mut row = CaseResult::of(super::super::cases::find_case("1").unwrap(), None);
        assert!(!report(&row).held());
        assert!(report(&row).markdown("c").contains("not run: it was not its turn"));
        assert!(report(&row).table().contains("not run"));
        row.verdict = CaseVerdict::Held;
        assert!(report(&row).held());
    }

    #[test]
    fn what_was_to_be_found_and_was_not_is_no_success_and_says_so() {
        let ablation = find_ablation("confirms");
        let mut row = CaseResult::of(super::super::cases::find_case("19").unwrap(), ablation);
        assert!(!report(&row).found());
        assert!(report(&row).table_of_ablations().contains("not run: it was not its turn"));
        row.verdict = CaseVerdict::Held;
        assert!(!report(&row).found());
        assert!(report(&row).table_of_ablations().contains("NOT FOUND"));
        row.found = Some("4 lost".to_owned());
        assert!(report(&row).found());
        let shown = report(&row).markdown_of_ablations("c");
        assert!(shown.contains("| `confirms`: answered before the queue has confirmed | 19 |"), "{shown}");
        assert!(shown.contains("| 4 lost |"), "{shown}");
    }
}
