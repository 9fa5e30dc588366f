//! The findings of an audit.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The number of violations of a kind that are described; all are counted.
pub const SHOWN: usize = 20;

/// A promise that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A coupon has more rows than it had stock.
    Oversold,
    /// A user holds a coupon twice, a request was granted twice, or an id is stored twice, on any shards and tables.
    Duplicate,
    /// An acknowledged grab is not stored with exactly that id, user and coupon; or an answer said that the user
    /// holds a coupon already, and no shard has it.
    Lost,
    /// A stored grab that no client asked for.
    Invented,
    /// A row where its layout, its table's name or its own id says it cannot be.
    Misplaced,
    /// A coupon's stock, its rows, the stock log and the gate disagree, or the log breaks its own law; or an answer
    /// said that it is sold out, and it is not.
    Miscounted,
    /// A grab that the rules decide otherwise: outside its coupon's window, of a coupon withdrawn before, by a user
    /// who does not exist; or a refusal for a reason that did not hold.
    Misjudged,
    /// A row's account of its use, or of what else became of it after the grab, contradicts itself or the answer that the
    /// user got.
    Spent,
    /// An answer of a read endpoint that differs from what is stored, or an entry of the room index that such an answer would be
    /// taken from.
    Misread,
    /// A table without the key, or the unique index, that keeps a second row of the same kind out.
    Unguarded,
    /// A result set aside because it contradicts what is stored.
    Parked,
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Oversold,
        Self::Duplicate,
        Self::Lost,
        Self::Invented,
        Self::Misplaced,
        Self::Miscounted,
        Self::Misjudged,
        Self::Spent,
        Self::Misread,
        Self::Unguarded,
        Self::Parked,
    ];

    /// True if it can only be found with clients' answers at hand; of the others, a part can be checked without.
    const fn needs_claims(self) -> bool {
        matches!(self, Self::Lost | Self::Invented | Self::Misread)
    }

    /// The word that reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversold => "oversold",
            Self::Duplicate => "duplicate",
            Self::Lost => "lost",
            Self::Invented => "invented",
            Self::Misplaced => "misplaced",
            Self::Miscounted => "miscounted",
            Self::Misjudged => "misjudged",
            Self::Spent => "spent",
            Self::Misread => "misread",
            Self::Unguarded => "unguarded",
            Self::Parked => "parked",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The violations of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Their number.
    pub count: u64,
    /// The first [`SHOWN`] of them, with the ids concerned.
    pub examples: Vec<String>,
}

/// Outbox entries that a shard has written and the main database has not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unapplied {
    /// The shard whose outbox it is.
    pub shard: u16,
    /// The number of entries.
    pub entries: u64,
    /// The number of rows that they report.
    pub rows: i64,
}

/// The scope of an audit and its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The data audited: a data folder, or a main database.
    pub data: String,
    /// Number of shards.
    pub shards: usize,
    /// Number of tables of results.
    pub tables: usize,
    /// Number of results stored.
    pub rows: u64,
    /// Results acknowledged, each counted once however often it was; `None` when the audit had no answers to read.
    pub acknowledged: Option<u64>,
    /// Grabs refused; `None` when the audit had no answers to read.
    pub refused: Option<u64>,
    /// Grabs without a clear answer; `None` when the audit had no answers to read.
    pub unknown: Option<u64>,
    /// Rows that such a grab explains.
    pub unknown_stored: u64,
    /// Outbox entries that the main database has not applied. After draining, each is a violation as well.
    pub unapplied: Vec<Unapplied>,
    /// Violations; a kind without any is not in here.
    pub findings: BTreeMap<Kind, Finding>,
    /// Checks that could not be made, with the reason.
    pub not_checked: BTreeMap<Kind, String>,
    /// Duration of the audit, in milliseconds.
    pub took_ms: u64,
}

impl AuditReport {
    pub(super) fn new(data: String, shards: usize) -> Self {
        Self {
            data,
            shards,
            tables: 0,
            rows: 0,
            acknowledged: None,
            refused: None,
            unknown: None,
            unknown_stored: 0,
            unapplied: Vec::new(),
            findings: BTreeMap::new(),
            not_checked: BTreeMap::new(),
            took_ms: 0,
        }
    }

    /// The number of violations of that kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.findings.get(&kind).map_or(0, |finding| finding.count)
    }

    /// The number of violations of any kind.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.findings.values().map(|finding| finding.count).sum()
    }

    /// The violations that may be none, where data was changed while it was looked at. A parked result is one in any
    /// case: it stays where it is until an operator resolves it.
    #[must_use]
    pub fn doubtful(&self) -> u64 {
        self.violations() - self.count(Kind::Parked)
    }

    /// Counts `count` violations that are described in one line, made only if it will be shown.
    pub(super) fn add(&mut self, kind: Kind, count: u64, describe: impl FnOnce() -> String) {
        let finding = self.findings.entry(kind).or_default();
        finding.count += count;
        if finding.examples.len() < SHOWN {
            finding.examples.push(describe());
        }
    }

    /// Takes note of a check of that kind that could not be made, beside those noted before.
    pub(super) fn skip(&mut self, kind: Kind, why: impl Into<String>) {
        let noted = self.not_checked.entry(kind).or_default();
        if !noted.is_empty() {
            noted.push_str("; ");
        }
        noted.push_str(&why.into());
    }

    /// True if another violation of that kind would still be described: descriptions can cost a query.
    pub(super) fn shows(&self, kind: Kind) -> bool {
        self.findings.get(&kind).is_none_or(|finding| finding.examples.len() < SHOWN)
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, rows, shards, tables, took_ms, .. } = self;
        writeln!(f, "{data}: {rows} rows, {shards} shards, {tables} tables, {took_ms} ms")?;
        if let (Some(acknowledged), Some(refused), Some(unknown)) =
            (self.acknowledged, self.refused, self.unknown)
        {
            let stored = self.unknown_stored;
            writeln!(
                f,
                "grabs: {acknowledged} acknowledged, {refused} refused, {unknown} unknown ({stored} stored)"
            )?;
        }
        for unapplied in &self.unapplied {
            let Unapplied { shard, entries, rows } = unapplied;
            writeln!(f, "not yet told to the main database: shard {shard}, {entries} entries, {rows} rows")?;
        }
        for kind in Kind::ALL {
            match (self.count(kind), self.not_checked.get(&kind)) {
                (0, Some(why)) if kind.needs_claims() => writeln!(f, "  {kind:<10} {:>8}: {why}", "n/a")?,
                (count, Some(why)) => writeln!(f, "  {kind:<10} {count:>8} (in part n/a: {why})")?,
                (count, None) => writeln!(f, "  {kind:<10} {count:>8}")?,
            }
            let Some(finding) = self.findings.get(&kind) else { continue };
            for example in &finding.examples {
                writeln!(f, "    {example}")?;
            }
            let more = finding.count.saturating_sub(finding.examples.len() as u64);
            if more > 0 {
                writeln!(f, "    … {more} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_result_is_no_matter_of_doubt() {
        let mut report = AuditReport::new("here".to_owned(), 1);
        report.add(Kind::Parked, 2, || "result 5".to_owned());
        assert_eq!((report.violations(), report.doubtful()), (2, 0));
        report.add(Kind::Lost, 1, || "result 6".to_owned());
        assert_eq!((report.violations(), report.doubtful()), (3, 1));
    }
}
