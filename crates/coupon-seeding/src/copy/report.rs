//! The report of a copy, for people.

use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;

/// The rows that [`crate::copy`] copied, and the time it took.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// The source: its folder, or its databases and where they are.
    pub from: String,
    /// Its layout.
    pub layout_before: String,
    /// The copy.
    pub to: String,
    /// The copy's layout.
    pub layout: String,
    /// The rows of each kind, whichever run has stored them.
    pub kinds: Vec<CopiedKind>,
    /// The time that this run took.
    pub took: Duration,
    /// The time from the beginning of the first run of this copy.
    pub stood_still: Duration,
}

/// The rows of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedKind {
    /// Their table in main, or `results`.
    pub name: &'static str,
    /// Their number.
    pub rows: u64,
    /// Their digest, whatever their order and place.
    pub digest: u128,
}

impl CopyReport {
    /// All rows.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.rows).sum()
    }

    /// The rows of a kind.
    #[must_use]
    pub fn rows_of(&self, name: &str) -> u64 {
        self.kinds.iter().find(|kind| kind.name == name).map_or(0, |kind| kind.rows)
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, laid out as \"{}\",", self.from, self.layout_before)?;
        writeln!(f, "  is copied to {}, laid out as \"{}\"", self.to, self.layout)?;
        let there = self.kinds.iter().filter(|kind| kind.rows > 0);
        let kinds = there.map(|kind| format!("{} {}", HumanCount(kind.rows), kind.name));
        writeln!(f, "  {}", kinds.collect::<Vec<_>>().join(", "))?;
        let [took, still] = [self.took, self.stood_still].map(|time| time.as_secs_f64());
        let all = HumanCount(self.all());
        write!(f, "{all} rows copied, verified, in {took:.1} s; the sale stood still for {still:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_copied_and_how_long_the_sale_stood_still() {
        let report = CopyReport {
            from: "data/hash".to_owned(),
            layout_before: "hash".to_owned(),
            to: "data/rooms".to_owned(),
            layout: "rooms".to_owned(),
            kinds: [("users", 100), ("results", 1_000)]
                .map(|(name, rows)| CopiedKind { name, rows, digest: 0 })
                .to_vec(),
            took: Duration::from_millis(1_500),
            stood_still: Duration::from_secs(9),
        };
        assert_eq!(
            report.to_string(),
            "data/hash, laid out as \"hash\",\n  is copied to data/rooms, laid out as \"rooms\"\n  \
             100 users, 1,000 results\n\
             1,100 rows copied, verified, in 1.5 s; the sale stood still for 9.0 s"
        );
    }
}
