//! What came of the rows: on the terminal, as JSON, and as a table for the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::list::Fault;
use super::observe::Observed;
use super::proof::Proof;
use super::stage::Terms;
use super::without::Without;
use crate::audit::Kind;

/// Between these lines of a document the table is kept up to date.
const BEGIN: &str = "<!-- faults: begin -->";
const END: &str = "<!-- faults: end -->";

/// What came of all rows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When they were played.
    pub date: String,
    /// Requests a second to each of the two services.
    pub rate: f64,
    /// What all random choices followed from.
    pub seed: u64,
    /// The mechanism that was left out, if one was.
    pub without: Option<&'static str>,
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
    pub(super) fn of(fault: &Fault) -> Self {
        Self::not_run(fault, "it was not its turn".to_owned())
    }

    pub(super) fn not_run(fault: &Fault, why: String) -> Self {
        Self {
            id: fault.casting.id,
            fault: fault.name,
            promised: fault.promised,
            verdict: Verdict::NotRun(why),
            proof: None,
            observed: Vec::new(),
            notes: Vec::new(),
            took_s: 0.0,
            injected: false,
        }
    }

    fn cells(&self) -> Vec<String> {
        let each = |of: fn(&Observed) -> String| {
            let values: Vec<String> = self.observed.iter().map(of).collect();
            if values.is_empty() { "–".to_owned() } else { values.join(" / ") }
        };
        let sum = |of: &dyn Fn(&Observed) -> u64| {
            if self.observed.is_empty() {
                "–".to_owned()
            } else {
                self.observed.iter().map(of).sum::<u64>().to_string()
            }
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
            cells.push(sum(&move |seen: &Observed| seen.count(kind)));
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
            without: terms.without.map(Without::name),
            took_s: took.as_secs_f64(),
            rows,
        }
    }

    /// Whether every row was played and held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == Verdict::Held)
    }

    /// Whether leaving a mechanism out was found, in the manner expected, by every row that must find it.
    #[must_use]
    pub fn found(&self, without: Without) -> bool {
        !self.rows.is_empty()
            && self.rows.iter().all(|row| {
                let counted = |kind: &Kind| row.observed.iter().any(|seen| seen.count(*kind) > 0);
                matches!(row.verdict, Verdict::Broken(_)) && without.found().iter().any(counted)
            })
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
        let columns = lines.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                lines
                    .iter()
                    .filter_map(|line| line.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for line in &lines {
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

    /// The same as a table of a Markdown document.
    #[must_use]
    pub fn markdown(&self, command: &str) -> String {
        let mut text = format!(
            "{}, `{command}`, {} requests a second to each service, {:.0} minutes. Two figures are those of hash and range.\n\n",
            self.date,
            self.rate,
            (self.took_s / 60.0).ceil()
        );
        let _ = writeln!(text, "| {} |", HEAD.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(HEAD.len()));
        for row in &self.rows {
            let cells: Vec<String> = row.cells().iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

/// A row in one line, as soon as it is played, and under it what was not as promised.
#[must_use]
pub fn line(row: &Row) -> String {
    let mut text = format!("{:>3} {}: ", row.id, row.fault);
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

/// Puts a table where a document keeps it.
///
/// # Errors
/// When the document has no place for it.
pub fn put_into(document: &str, table: &str) -> Result<String> {
    let (before, rest) = document.split_once(BEGIN).with_context(|| format!("it has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("it has no line {END}"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
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

    #[test]
    fn a_table_replaces_the_one_before_and_nothing_else() {
        let document = format!("# A\n{BEGIN}\nold\n{END}\nend\n");
        let once = put_into(&document, "| new |\n").unwrap();
        assert_eq!(once, format!("# A\n{BEGIN}\n| new |\n{END}\nend\n"));
        assert_eq!(put_into(&once, "| new |\n").unwrap(), once);
        assert!(put_into("# A\n", "").is_err());
    }

    #[test]
    fn a_row_that_was_not_played_fails_the_whole() {
        let terms = Terms { rate: 1.0, seed: 1, without: None, logs: "logs".into() };
        let mut row = Row::of(super::super::list::find("1").unwrap());
        let report = |row: &Row| Report::new(&terms, vec![row.clone()], Duration::ZERO);
        assert!(!report(&row).held());
        assert!(report(&row).markdown("c").contains("not run: it was not its turn"));
        assert!(report(&row).table().contains("not run"));
        row.verdict = Verdict::Held;
        assert!(report(&row).held());
        // What was to be found, and was not, is no success either.
        assert!(!report(&row).found(Without::Confirms));
    }
}
