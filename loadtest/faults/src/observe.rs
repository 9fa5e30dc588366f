//! What was seen of one service in one row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coupon_audit::{AuditReport, Kind};
use coupon_loadgen::load::{GrabOutcome, Outcome, Refusal, Unknown};
use serde::Serialize;

use super::customers::Asked;
use super::pressure::Pressed;
use super::resolve::Resolved;
use super::scene::Moments;

/// What was seen of one service in one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observed {
    /// Which service.
    pub service: &'static str,
    /// How hard it was pressed when the fault came.
    pub pressed: Pressed,
    /// Grabs that got their coupon.
    pub granted: u64,
    /// Grabs that were refused by a decision: sold out, held already.
    pub refused: u64,
    /// Grabs without a clear answer, by what came instead of one.
    pub unknown: BTreeMap<String, u64>,
    /// How long the fault was there, in milliseconds.
    pub fault_ms: u64,
    /// The longest that no grab at all was decided from the fault on, in milliseconds.
    pub longest_silence_ms: u64,
    /// How long some grabs were not decided: from the first unclear answer after the fault to the last, in milliseconds.
    pub unclear_for_ms: u64,
    /// Grabs decided while the fault was there.
    pub decided_during: u64,
    /// Grabs granted after it was lifted.
    pub granted_after: u64,
    /// From the moment the fault was lifted until everything granted is stored, main knows of it, and no reservation is
    /// pending, in milliseconds. The load goes on for three seconds of it.
    pub settled_ms: u64,
    /// What customers were told who asked for what they were granted, and spent it.
    pub asked: Asked,
    /// What became of the unclear ones when their users asked again.
    pub resolved: Resolved,
    /// Unclear grabs whose users did not ask again, and that are stored.
    pub unclear_stored: u64,
    /// What the audit counted, by kind.
    pub audit: BTreeMap<Kind, u64>,
    /// The first of what it found.
    pub examples: Vec<String>,
    /// What it could not check.
    pub not_checked: Vec<String>,
}

/// What the load saw, before the audit.
pub(super) struct Seen {
    pub(super) moments: Moments,
    pub(super) began: Instant,
    pub(super) settled: Instant,
}

impl Observed {
    pub(super) fn new(
        service: &'static str,
        outcome: &Outcome,
        seen: &Seen,
        resolved: Resolved,
        audit: &AuditReport,
    ) -> Self {
        let since = |moment: Option<Instant>| {
            moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(seen.began))
        };
        let (fault, lifted) = (since(seen.moments.fault), since(seen.moments.lifted));
        let mut unknown: BTreeMap<String, u64> = BTreeMap::new();
        for grab in &outcome.grabs {
            if let GrabOutcome::Unknown(why) = grab.outcome {
                *unknown.entry(told(why)).or_default() += 1;
            }
        }
        let is_decided = |outcome: &GrabOutcome| {
            matches!(outcome, GrabOutcome::Granted { .. } | GrabOutcome::Refused(Refusal::Decided(_)))
        };
        let grabs = || outcome.grabs.iter();
        let decided: Vec<Duration> =
            grabs().filter(|grab| is_decided(&grab.outcome)).map(|grab| grab.at).collect();
        let unclear =
            grabs().filter(|grab| !is_decided(&grab.outcome) && grab.at >= fault).map(|grab| grab.at);
        let (first, last) = (unclear.clone().min(), unclear.max());
        let granted_after = grabs()
            .filter(|grab| matches!(grab.outcome, GrabOutcome::Granted { .. }) && grab.at >= lifted)
            .count();
        let settled = seen.moments.lifted.map_or(Duration::ZERO, |lifted| seen.settled - lifted);
        Self {
            service,
            pressed: Pressed::default(),
            granted: outcome.counts.granted,
            refused: outcome.counts.out_of_stock + outcome.counts.duplicate + outcome.counts.invalid_time,
            unknown,
            fault_ms: millis(lifted.saturating_sub(fault)),
            longest_silence_ms: millis(longest_silence(&decided, fault, outcome.elapsed)),
            unclear_for_ms: millis(first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)),
            decided_during: decided.iter().filter(|at| (fault..lifted).contains(*at)).count() as u64,
            granted_after: granted_after as u64,
            settled_ms: millis(settled),
            asked: Asked::default(),
            resolved,
            unclear_stored: audit.unknown_stored,
            audit: Kind::ALL.into_iter().map(|kind| (kind, audit.count(kind))).collect(),
            examples: audit
                .findings
                .values()
                .flat_map(|finding| finding.examples.iter().take(2))
                .cloned()
                .collect(),
            not_checked: audit.not_checked.iter().map(|(kind, why)| format!("{kind}: {why}")).collect(),
        }
    }

    /// How many of a kind the audit counted.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.audit.get(&kind).copied().unwrap_or(0)
    }

    /// How many promises the audit found broken, but for results that were parked.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.audit.iter().filter(|(kind, _)| **kind != Kind::Parked).map(|(_, count)| count).sum()
    }

    /// How many grabs ended without a clear answer.
    #[must_use]
    pub fn unclear(&self) -> u64 {
        self.unknown.values().sum()
    }
}

/// The longest time between two decisions, from the fault to the end.
fn longest_silence(decided: &[Duration], from: Duration, to: Duration) -> Duration {
    let mut moments: Vec<Duration> = decided.iter().copied().filter(|at| *at >= from).collect();
    moments.push(to);
    moments.sort_unstable();
    let mut before = from;
    let mut longest = Duration::ZERO;
    for at in moments {
        longest = longest.max(at.saturating_sub(before));
        before = at;
    }
    longest
}

fn told(why: Unknown) -> String {
    match why {
        Unknown::Status(status) => status.to_string(),
        Unknown::TimedOut => "time-out".to_owned(),
        Unknown::Cut => "connection cut".to_owned(),
        Unknown::Unreadable => "unreadable".to_owned(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_from_the_fault_to_the_end() {
        let at = |ms: &[u64]| ms.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        let silence = |ms: &[u64]| {
            millis(longest_silence(&at(ms), Duration::from_millis(100), Duration::from_millis(500)))
        };
        assert_eq!(silence(&[10, 99, 150, 160]), 340);
        assert_eq!(silence(&[300, 120, 450]), 180);
        assert_eq!(silence(&[]), 400);
    }
}
