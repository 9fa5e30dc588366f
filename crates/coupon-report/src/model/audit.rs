//! The auditor's findings: every promise about grabs, held against the shards.

use coupon_measure::format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of example ids that a report keeps of one kind of violation.
pub const MAX_EXAMPLES: usize = 10;

/// One kind of violation: its count, and ids that say where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The number of cases. Anything but 0 fails the run.
    pub count: u64,
    /// Ids of the first cases, at most ten.
    pub examples: Vec<String>,
    /// The reason why a part of the check could not be made, if it could not: then 0 does not say that all is well. Rows of a
    /// layout that the auditor does not know are held against the names of their tables alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_checked: Option<String>,
}

impl Violation {
    /// Takes every case found; keeps the first as examples.
    pub fn of(cases: impl IntoIterator<Item = String>) -> Self {
        let mut found = Self::default();
        for case in cases {
            found.count += 1;
            if found.examples.len() < MAX_EXAMPLES {
                found.examples.push(case);
            }
        }
        found
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        let room = MAX_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room).cloned());
        self.not_checked = self.not_checked.take().or_else(|| other.not_checked.clone());
    }

    /// For people: `0 lost`, or `0 misplaced (in part n/a: …)`.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        let count = format::count(self.count);
        match &self.not_checked {
            Some(why) => format!("{count} {name} (in part n/a: {why})"),
            None => format!("{count} {name}"),
        }
    }
}

/// The audit of one round, or the sum over many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditResult {
    /// Grabs that were answered "you have it"; the first round's audit includes the warm-up.
    pub acknowledged: u64,
    /// Grabs that were answered "no".
    pub refused: u64,
    /// Grabs whose answer never came or was unclear. They may have been granted or not; both are right.
    pub unknown: u64,
    /// Rows found on the shards for the coupons on offer.
    pub stored: u64,
    /// Acknowledged, but on no shard.
    pub lost: Violation,
    /// Users who hold one coupon twice.
    pub duplicate: Violation,
    /// Coupons with more rows than stock.
    pub oversold: Violation,
    /// Stored, but neither acknowledged nor unclear.
    pub invented: Violation,
    /// Coupons whose stock, rows and stock log differ, or whose log breaks its law; outboxes that main does not follow; on
    /// servers also shards whose own count of their rows is wrong, and holders in the gate without a row, or the other way round.
    pub miscounted: Violation,
    /// Rows where their layout, their table's name or their own id says they cannot be.
    pub misplaced: Violation,
    /// Grabs outside their coupon's window, of a coupon withdrawn before, or of a user who does not exist; refusals for reasons
    /// that did not hold.
    pub misjudged: Violation,
    /// Uses that contradict themselves, differ from the answer that their user got, or were never asked for.
    pub spent: Violation,
    /// Read endpoints that answered otherwise than is stored, of a sample of users, rooms, windows and sums.
    pub misread: Violation,
    /// Tables without their primary key or their unique index.
    pub unguarded: Violation,
    /// Results set aside because they contradict what is stored.
    pub parked: Violation,
}

/// A kind of violation, as reports show it.
struct ViolationKind {
    /// The audit's name of it, and its field's.
    name: &'static str,
    meaning: &'static str,
    read: fn(&AuditResult) -> &Violation,
    write: fn(&mut AuditResult) -> &mut Violation,
}

macro_rules! kind {
    ($name:ident, $meaning:literal) => {
        ViolationKind {
            name: stringify!($name),
            meaning: $meaning,
            read: |audit| &audit.$name,
            write: |audit| &mut audit.$name,
        }
    };
}

/// Every kind of violation, in the order of reports.
const KINDS: [ViolationKind; 11] = [
    kind!(lost, "acknowledged, but stored nowhere"),
    kind!(duplicate, "one user holds one coupon twice"),
    kind!(oversold, "more rows than stock"),
    kind!(invented, "stored, but promised to nobody"),
    kind!(miscounted, "stock, rows, stock log and gate differ"),
    kind!(misplaced, "where no reader looks for it"),
    kind!(misjudged, "decided against the rules"),
    kind!(spent, "used otherwise than its user was told"),
    kind!(misread, "a read tells otherwise than is stored"),
    kind!(unguarded, "a table without its unique keys"),
    kind!(parked, "set aside: it contradicts what is stored"),
];

impl AuditResult {
    /// Every kind of violation, with its name and meaning.
    #[must_use]
    pub fn violations(&self) -> [(&'static str, &'static str, &Violation); KINDS.len()] {
        KINDS.map(|kind| (kind.name, kind.meaning, (kind.read)(self)))
    }

    /// The violations of the kind that the audit calls by this name.
    pub fn violation_mut(&mut self, name: &str) -> Option<&mut Violation> {
        KINDS.into_iter().find(|kind| kind.name == name).map(|kind| (kind.write)(self))
    }

    /// True when every promise was kept.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.violations().iter().all(|(_, _, violation)| violation.count == 0)
    }

    /// Adds another audit to this one.
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.stored += other.stored;
        for kind in KINDS {
            (kind.write)(self).add((kind.read)(other));
        }
    }
}

/// The audits of all rounds of all contestants, with the sums of their figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditTotals {
    /// True when every round was audited and every promise was kept.
    pub passed: bool,
    /// The number of rounds that were audited.
    pub rounds_audited: u32,
    /// The rounds that were not audited, each with its reason.
    pub rounds_not_audited: Vec<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: AuditResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_violation_of_any_kind_fails_the_audit() {
        let fine = AuditResult { acknowledged: 10, stored: 10, ..AuditResult::default() };
        assert!(fine.passed());
        for kind in KINDS {
            let mut broken = fine.clone();
            *broken.violation_mut(kind.name).unwrap() = Violation::of(["7".to_owned()]);
            assert!(!broken.passed(), "{}", kind.name);
        }
    }

    #[test]
    fn a_check_that_was_not_made_is_told_in_every_sum() {
        let misplaced = Violation { not_checked: Some("whose is it?".to_owned()), ..Violation::default() };
        let mut sum = AuditResult::default();
        sum.add(&AuditResult { misplaced, ..AuditResult::default() });
        sum.add(&AuditResult::default());
        assert_eq!(sum.misplaced.sentence("misplaced"), "0 misplaced (in part n/a: whose is it?)");
        assert_eq!(sum.lost.sentence("lost"), "0 lost");
    }

    #[test]
    fn examples_are_few_but_the_count_is_whole() {
        let mut sum = AuditResult::default();
        for _ in 0..2 {
            sum.add(&AuditResult {
                lost: Violation::of((0..8).map(|n| n.to_string())),
                ..Default::default()
            });
        }
        assert_eq!((sum.lost.count, sum.lost.examples.len()), (16, MAX_EXAMPLES));
    }
}
