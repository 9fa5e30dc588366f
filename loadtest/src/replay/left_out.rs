//! Lines that could not be used.

use std::collections::BTreeMap;

use coupon_measure::format::{count, counted};

/// The lines that could not be used, counted by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    reasons: BTreeMap<String, (u64, u64)>,
}

impl LeftOut {
    /// Adds lines, so many from that one on.
    pub(super) fn add(&mut self, reason: String, first: u64, lines: u64) {
        self.reasons.entry(reason).or_insert((0, first)).0 += lines;
    }

    /// The number of such lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.reasons.values().map(|(lines, _)| lines).sum()
    }

    /// Each reason with its number of lines and the first of them, the most frequent first.
    #[must_use]
    pub fn reasons(&self) -> Vec<(&str, u64, u64)> {
        let mut all: Vec<_> =
            self.reasons.iter().map(|(reason, (lines, first))| (reason.as_str(), *lines, *first)).collect();
        all.sort_by_key(|(_, lines, _)| std::cmp::Reverse(*lines));
        all
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons = self.reasons();
        let told = reasons
            .iter()
            .map(|(reason, lines, first)| format!("{reason}: {} (the first is line {first})", count(*lines)));
        write!(f, "{} left out; {}", counted(self.lines(), "line"), told.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_number_and_its_first_line() {
        let mut left_out = LeftOut::default();
        for (reason, line, lines) in [("no time", 7, 1), ("three fields", 9, 1), ("three fields", 12, 2)] {
            left_out.add(reason.to_owned(), line, lines);
        }
        let told = left_out.to_string();
        assert_eq!(
            told,
            "4 lines left out; three fields: 3 (the first is line 9); no time: 1 (the first is line 7)"
        );
    }
}
