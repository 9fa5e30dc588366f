//! The observations of one service in one case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coupon_audit::{AuditReport, Kind};
use coupon_loadgen::load::{GrabOutcome, Outcome, Refusal, Unknown};
use serde::Serialize;

use super::ask_again::AskedAgain;
use super::customers::CustomerCounts;
use super::load::LoadAtFault;
use super::record::FaultTimes;
use super::steps::StepCounts;

/// The observations of one service in one case.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ServiceResult {
    /// The name of the service.
    pub service: &'static str,
    /// The weight of the load when the fault came.
    pub pressed: LoadAtFault,
    /// Grabs that got their coupon.
    pub granted: u64,
    /// Grabs that were refused by a decision: sold out, held already.
    pub refused: u64,
    /// Grabs without a clear answer, by what came instead of one.
    pub unknown: BTreeMap<String, u64>,
    /// The time that the fault was there, in milliseconds.
    pub fault_ms: u64,
    /// The longest that no grab at all was decided from the fault on, in milliseconds.
    pub longest_silence_ms: u64,
    /// The time in which some grabs were not decided: from the first unclear answer after the fault to the last, in
    /// milliseconds.
    pub unclear_for_ms: u64,
    /// Grabs decided while the fault was there.
    pub decided_during: u64,
    /// Grabs granted after it was lifted.
    pub granted_after: u64,
    /// From the moment the fault was lifted until everything granted is stored, main has applied it, and no
    /// reservation is pending, in milliseconds. The load goes on for three seconds of it.
    pub settled_ms: u64,
    /// Counts of customers who asked for results that they were granted, and spent them.
    pub asked: CustomerCounts,
    /// Counts of the steps that shoppers took of what they got.
    pub steps: StepCounts,
    /// Counts of the unclear ones whose users asked again, by the answer.
    pub resolved: AskedAgain,
    /// Unclear grabs whose users did not ask again, and that are stored.
    pub unclear_stored: u64,
    /// The audit's counts, by kind.
    pub audit: BTreeMap<Kind, u64>,
    /// The first of its findings.
    pub examples: Vec<String>,
    /// Everything that it could not check.
    pub not_checked: Vec<String>,
}

/// The moments of a case: the fault, the beginning of the load, and the end of settling.
pub(super) struct Timeline {
    pub(super) fault: FaultTimes,
    pub(super) began: Instant,
    pub(super) settled: Instant,
}

impl ServiceResult {
    pub(super) fn new(
        service: &'static str,
        outcome: &Outcome,
        timeline: &Timeline,
        resolved: AskedAgain,
        audit: &AuditReport,
    ) -> Self {
        let since = |moment: Option<Instant>| {
            moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(timeline.began))
        };
        let (fault, lifted) = (since(timeline.fault.began), since(timeline.fault.ended));
        let mut unknown: BTreeMap<String, u64> = BTreeMap::new();
        for grab in &outcome.grabs {
            if let GrabOutcome::Unknown(why) = grab.outcome {
                *unknown.entry(reason(why)).or_default() += 1;
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
        let settled = timeline.fault.ended.map_or(Duration::ZERO, |ended| timeline.settled - ended);
        Self {
            service,
            pressed: LoadAtFault::default(),
            granted: outcome.counts.granted,
            refused: outcome.counts.out_of_stock + outcome.counts.duplicate + outcome.counts.invalid_time,
            unknown,
            fault_ms: millis(lifted.saturating_sub(fault)),
            longest_silence_ms: millis(longest_silence(&decided, fault, outcome.elapsed)),
            unclear_for_ms: millis(first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)),
            decided_during: decided.iter().filter(|at| (fault..lifted).contains(*at)).count() as u64,
            granted_after: granted_after as u64,
            settled_ms: millis(settled),
            asked: CustomerCounts::default(),
            steps: StepCounts::default(),
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

    /// The audit's count of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.audit.get(&kind).copied().unwrap_or(0)
    }

    /// The number of broken promises that the audit found, but for results that were parked.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.audit.iter().filter(|(kind, _)| **kind != Kind::Parked).map(|(_, count)| count).sum()
    }

    /// The number of grabs that ended without a clear answer.
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

fn reason(why: Unknown) -> String {
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
