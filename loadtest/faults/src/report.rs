//! What came of the rows: on the terminal, as JSON, and as a table for the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use coupon_audit::Kind;
use coupon_strategies::REGISTER;
use serde::Serialize;

use super::list::Fault;
use super::observe::Observed;
use super::proof::Proof;
use super::stage::Terms;
use super::without::{Without, find_without};

/// What came of all rows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When they were played.
    pub date: String,
    /// Requests a second to each service.
    pub rate: f64,
    /// What all random choices followed from.
    pub seed: u64,
    /// How long all of it took, in seconds.
    pub took_s: f64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What came of one row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its number.
    pub id: &'static str,
    /// What was broken.
    pub fault: &'static str,
    /// What is promised.
    pub promised: &'static str,
    /// The mechanism that was left out, if one was.
    pub without: Option<&'static str>,
    /// What of that was found, if it was in the manner expected.
    pub found: Option<String>,
    /// Whether that held.
    pub verdict: Verdict,
    /// How it is known that the fault took effect.
    pub proof: Option<Proof>,
    /// Of each service.
    pub observed: Vec<Observed>,
    /// What else was seen.
    pub notes: Vec<String>,
    /// How long the row took, in seconds.
    pub took_s: f64,
    /// Whether the fault came about.
    #[serde(skip)]
    pub(super) injected: bool,
}

/// Whether a row's promises held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// They did.
    Held,
    /// They did not: what was found.
    Broken(Vec<String>),
    /// The fault was not injected: why.
    NotRun(String),
}

impl Row {
    pub(super) fn of(fault: &Fault, without: Option<&Without>) -> Self {
        Self::not_run(fault, without, "it was not its turn".to_owned())
    }

    pub(super) fn not_run(fault: &Fault, without: Option<&Without>, why: String) -> Self {
        Self {
            id: fault.casting.id,
            fault: fault.name,
            promised: fault.promised,
            without: without.map(Without::name),
            found: None,
            verdict: Verdict::NotRun(why),
            proof: None,
            observed: Vec::new(),
            notes: Vec::new(),
            took_s: 0.0,
            injected: false,
        }
    }

    /// What the audit counted of a kind, all services together.
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.observed.iter().map(|seen| seen.count(kind)).sum()
    }

    fn cells(&self) -> Vec<String> {
        let each = |of: fn(&Observed) -> String| {
            let values: Vec<String> = self.observed.iter().map(of).collect();
            if values.is_empty() { "–".to_owned() } else { values.join(" / ") }
        };
        let mut cells = vec![
            self.id.to_owned(),
            self.fault.to_owned(),
            self.promised.to_owned(),
            match &self.verdict {
                Verdict::Held => "held".to_owned(),
                Verdict::Broken(_) => "BROKEN".to_owned(),
                // The first line says it; a log may follow.
                Verdict::NotRun(why) => format!("not run: {}", why.lines().next().unwrap_or_default()),
            },
            self.proof.as_ref().map_or_else(|| "–".to_owned(), Proof::to_string),
            each(|seen| format!("{:.1}", seen.pressed.mean_batch)),
            each(|seen| seen.pressed.grabs_in_flight.to_string()),
            each(|seen| seen.granted.to_string()),
            each(|seen| format!("{}, {}", seen.asked.shown, seen.asked.spent)),
            each(|seen| seen.unclear().to_string()),
            self.observed.first().map_or_else(|| "–".to_owned(), |seen| seconds(seen.fault_ms)),
            each(|seen| seconds(seen.longest_silence_ms)),
            each(|seen| seconds(seen.unclear_for_ms)),
            each(|seen| seconds(seen.settled_ms)),
        ];
        for kind in [Kind::Lost, Kind::Duplicate, Kind::Oversold, Kind::Invented, Kind::Stock] {
            let none = self.observed.is_empty();
            cells.push(if none { "–".to_owned() } else { self.count(kind).to_string() });
        }
        cells
    }
}

/// What the columns are called.
const HEAD: [&str; 19] = [
    "",
    "fault",
    "promised beside zero",
    "observed",
    "proof of the fault",
    "grabs a batch",
    "in flight",
    "granted",
    "read, spent",
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

impl Report {
    pub(super) fn new(terms: &Terms, rows: Vec<Row>, took: Duration) -> Self {
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            rate: terms.rate,
            seed: terms.seed,
            took_s: took.as_secs_f64(),
            rows,
        }
    }

    /// Whether every row was played and held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == Verdict::Held)
    }

    /// Whether mechanisms were left out, and every row has found it.
    #[must_use]
    pub fn found(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.found.is_some())
    }

    /// A table for a terminal: a block for each row would be easier to read, and harder to compare.
    #[must_use]
    pub fn table(&self) -> String {
        // What is promised, and the proof, take too much room there.
        let short = |cells: Vec<String>| -> Vec<String> {
            let kept = cells.into_iter().enumerate().filter(|(at, _)| !matches!(at, 2 | 4));
            kept.map(|(at, cell)| if at == 3 { first_words(&cell) } else { cell }).collect()
        };
        let mut lines = vec![short(HEAD.map(str::to_owned).to_vec())];
        lines.extend(self.rows.iter().map(|row| short(row.cells())));
        aligned(&lines)
    }

    /// The same as a table of a Markdown document.
    #[must_use]
    pub fn markdown(&self, command: &str) -> String {
        let rows: Vec<Vec<String>> = self.rows.iter().map(Row::cells).collect();
        let services: Vec<&str> =
            REGISTER.of_each_program().iter().map(|family| family.program.section()).collect();
        let (played, services) = (self.played(command), services.join(" and "));
        format!("{played} Several figures are those of {services}.\n\n{}", in_markdown(&HEAD, &rows))
    }

    /// What was found of the mechanisms that were left out, for a terminal.
    #[must_use]
    pub fn table_of_switches(&self) -> String {
        let mut lines = vec![SWITCHES_HEAD.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().filter_map(|row| switch_cells(row, Without::name)));
        aligned(&lines)
    }

    /// The same as a table of a Markdown document.
    #[must_use]
    pub fn markdown_of_switches(&self, command: &str) -> String {
        let named = |without: &Without| format!("`{without}`: {}", without.instead);
        let rows: Vec<Vec<String>> = self.rows.iter().filter_map(|row| switch_cells(row, named)).collect();
        format!("{}\n\n{}", self.played(command), in_markdown(&SWITCHES_HEAD, &rows))
    }

    fn played(&self, command: &str) -> String {
        let Self { date, rate, took_s, .. } = self;
        let minutes = (took_s / 60.0).ceil();
        format!("{date}, `{command}`, {rate} requests a second to each service, {minutes:.0} minutes.")
    }
}

/// What the columns are called where mechanisms are left out.
const SWITCHES_HEAD: [&str; 4] = ["without", "row", "must find", "found"];

fn switch_cells<T: Into<String>>(row: &Row, named: impl Fn(&'static Without) -> T) -> Option<Vec<String>> {
    let without = find_without(row.without?)?;
    let found = row.found.clone().unwrap_or_else(|| match &row.verdict {
        Verdict::NotRun(why) => format!("not run: {}", why.lines().next().unwrap_or_default()),
        Verdict::Held | Verdict::Broken(_) => "NOT FOUND".to_owned(),
    });
    Some(vec![named(without).into(), row.id.to_owned(), without.must_find.to_owned(), found])
}

/// Lines of cells, one below the other.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

fn in_markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "| {} |", head.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// A row in one line, as soon as it is played, and under it what was not as promised.
#[must_use]
pub fn line(row: &Row) -> String {
    let without = row.without.map_or_else(String::new, |without| format!(" without {without}"));
    let mut text = format!("{:>3} {}{without}: ", row.id, row.fault);
    match &row.verdict {
        Verdict::Held => text.push_str("held"),
        Verdict::NotRun(why) => {
            let _ = write!(text, "not run: {why}");
        }
        Verdict::Broken(why) => {
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
            "\n      {}: {:.1} grabs a batch and {} in flight when it came; {} results read, {} spent",
            seen.service,
            seen.pressed.mean_batch,
            seen.pressed.grabs_in_flight,
            seen.asked.shown,
            seen.asked.spent
        );
    }
    for note in &row.notes {
        let _ = write!(text, "\n      {note}");
    }
    text
}

/// What a narrow column has room for; the rest was told when the row was played.
fn first_words(cell: &str) -> String {
    cell.split(':').next().unwrap_or_default().to_owned()
}

fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(row: &Row) -> Report {
        let terms = Terms { rate: 1.0, seed: 1, logs: "logs".into() };
        Report::new(&terms, vec![row.clone()], Duration::ZERO)
    }

    #[test]
    fn a_row_that_was_not_played_fails_the_whole() {
        let mut row = Row::of(super::super::list::find("1").unwrap(), None);
        assert!(!report(&row).held());
        assert!(report(&row).markdown("c").contains("not run: it was not its turn"));
        assert!(report(&row).table().contains("not run"));
        row.verdict = Verdict::Held;
        assert!(report(&row).held());
    }

    #[test]
    fn what_was_to_be_found_and_was_not_is_no_success_and_says_so() {
        let without = find_without("confirms");
        let mut row = Row::of(super::super::list::find("19").unwrap(), without);
        assert!(!report(&row).found());
        assert!(report(&row).table_of_switches().contains("not run: it was not its turn"));
        row.verdict = Verdict::Held;
        assert!(!report(&row).found());
        assert!(report(&row).table_of_switches().contains("NOT FOUND"));
        row.found = Some("4 lost".to_owned());
        assert!(report(&row).found());
        let shown = report(&row).markdown_of_switches("c");
        assert!(shown.contains("| `confirms`: answered before the queue has confirmed | 19 |"), "{shown}");
        assert!(shown.contains("| 4 lost |"), "{shown}");
    }
}
