//! One contestant's part in a comparison: its rounds, its grabs, its audits.

use anyhow::{Context, Result, anyhow};
use coupon_audit::{AuditReport, Claims, Kind, Scope, StartState};
use coupon_cli::terminal;
use coupon_lab::acks;
use coupon_lab::{Deployment, wait_if_interrupted};
use coupon_loadgen::http::get_json;
use coupon_loadgen::load::{LoadSpec, run_load};
use coupon_report::model::{self, AuditResult, MAX_EXAMPLES, Reading, Round, Violation};
use coupon_service::api::ShardsStatus;

use super::ending::Ending;
use super::growth::Planned;
use super::observer::Watcher;
use super::turn::{self, Turn};
use crate::heat::KeyHeat;
use crate::measured;

/// A contestant, with everything it was ever asked for.
#[derive(Debug)]
pub(super) struct Entrant {
    running: Deployment,
    claims: Claims,
    /// The newest result before the first request.
    start: Option<StartState>,
    rounds: Vec<Round>,
    /// The keys that were granted in them.
    heat: KeyHeat,
    /// The counts at the end of the last round: an audit counts from the start.
    counted: Counted,
    /// Rows stored before the first request.
    history: u64,
    /// The way to the observer, if there is one.
    watcher: Option<Watcher>,
    /// The change of its layout in each turn, or why it cannot change so, in a comparison of such changes.
    growth: Option<Result<Planned, String>>,
}

/// Running totals of the audits.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    rows: u64,
}

impl Entrant {
    pub(super) fn new(running: Deployment) -> Result<Self> {
        let start = running.remember().with_context(|| format!("contestant {}", running.name))?;
        let status: ShardsStatus = get_json(&running.target, "/admin/shards/status")?;
        let history = status.shards.iter().map(|shard| shard.rows).sum();
        let counted = Counted { rows: history, ..Counted::default() };
        Ok(Self {
            running,
            claims: Claims::default(),
            start,
            rounds: Vec::new(),
            heat: KeyHeat::default(),
            counted,
            history,
            watcher: None,
            growth: None,
        })
    }

    /// The same, whose layout is changed in each turn, or left alone for that reason.
    pub(super) fn growing(self, growth: Option<Result<Planned, String>>) -> Self {
        Self { growth, ..self }
    }

    /// The same contestant on data of `fresh`, which was seeded anew.
    pub(super) fn renewed(self, fresh: impl FnOnce() -> Result<Deployment>) -> Result<Self> {
        let Self { running, rounds, heat, watcher, growth, .. } = self;
        running.stop()?;
        Ok(Self { rounds, heat, watcher, growth, ..Self::new(fresh()?)? })
    }

    /// Has its turns shown from now on.
    pub(super) fn show(&mut self, watcher: Watcher) {
        watcher.observer.started(watcher.contestant, &self.running.stats);
        self.watcher = Some(watcher);
    }

    pub(super) fn name(&self) -> &str {
        &self.running.name
    }

    pub(super) const fn running(&self) -> &Deployment {
        &self.running
    }

    pub(super) const fn history(&self) -> u64 {
        self.history
    }

    pub(super) fn backend(&self) -> &str {
        &self.running.stats.backend
    }

    /// Puts it under load, unmeasured, and remembers what it answered.
    pub(super) fn warm_up(&mut self, load: &LoadSpec) -> Result<()> {
        let outcome = run_load(&self.running.target, load).map_err(|error| self.failed(&error))?;
        acks::claim_all(&outcome, &mut self.claims);
        if let Some(Ok(growth)) = &mut self.growth {
            growth.warmed_up(&outcome);
        }
        Ok(())
    }

    /// Its turn in a round, and its audit.
    pub(super) fn round(
        &mut self,
        index: u32,
        position: u32,
        load: &LoadSpec,
        quota: Option<f64>,
    ) -> Result<Ending> {
        let growth = self.growth.as_ref().and_then(|growth| growth.as_ref().ok());
        let taken = turn::take(&self.running, load, quota, self.watcher.as_ref(), growth)
            .map_err(|error| self.failed(&error))?;
        let Turn { outcome, shards, flow, looks, growth } = taken;
        acks::claim_all(&outcome, &mut self.claims);
        self.heat.add(&outcome.grabs);
        let (ending, audit) = self.audit(index);
        if let Some(watcher) = &self.watcher {
            watcher.audited(&audit);
        }
        self.rounds.push(Round {
            shards,
            flow,
            looks,
            growth,
            audit,
            ..measured::round(index, position, load, &outcome)
        });
        Ok(ending)
    }

    /// Adds the service's last words to an error.
    fn failed(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("contestant {}: {error:#}{}", self.running.name, self.running.log())
    }

    /// Holds everything asked so far against everything stored.
    fn audit(&mut self, index: u32) -> (Ending, Reading<AuditResult>) {
        if let Err(why) = self.running.can_be_audited() {
            return (Ending::Kept, Reading::unknown(why));
        }
        let scope = Scope {
            claims: Some(&self.claims),
            since: Some(self.start.as_ref().map_or(0, StartState::newest)),
            start: self.start.as_ref(),
            ..Scope::default()
        };
        match self.running.audit(&scope) {
            Ok(report) => {
                let ending = if report.violations() == 0 { Ending::Kept } else { Ending::Violated };
                if ending == Ending::Violated {
                    terminal::clear_progress();
                    terminal::tell(format!("{}, round {}: {report}", self.running.name, index + 1));
                }
                (ending, Reading::Known(self.result(&report)))
            }
            Err(error) => {
                wait_if_interrupted();
                let why = format!("{error:#}");
                terminal::clear_progress();
                terminal::note(format!("{}, round {}: not audited: {why}", self.running.name, index + 1));
                (Ending::NotAudited, Reading::unknown(why))
            }
        }
    }

    /// The round's own part of an audit that counts from the start. Violations need no such care: a comparison ends
    /// with the first round that has any.
    fn result(&mut self, report: &AuditReport) -> AuditResult {
        let now = Counted {
            acknowledged: report.acknowledged.unwrap_or(0),
            refused: report.refused.unwrap_or(0),
            unknown: report.unknown.unwrap_or(0),
            rows: report.rows,
        };
        let before = std::mem::replace(&mut self.counted, now);
        let mut result = AuditResult {
            acknowledged: now.acknowledged - before.acknowledged,
            refused: now.refused - before.refused,
            unknown: now.unknown - before.unknown,
            stored: now.rows.saturating_sub(before.rows),
            ..AuditResult::default()
        };
        for kind in Kind::ALL {
            if let Some(found) = result.violation_mut(kind.as_str()) {
                *found = violation(report, kind);
            }
        }
        result
    }

    /// Makes its part of the report.
    pub(super) fn contestant(&self) -> model::Contestant {
        let stats = &self.running.stats;
        model::Contestant {
            name: self.running.name.clone(),
            strategy: stats.strategy.clone(),
            layout: stats.layout.clone(),
            service: stats.service.clone(),
            shards: stats.shards,
            history_rows: Some(self.history),
            build: Some(stats.build.clone()).filter(|build| !build.is_empty()),
            seed_seconds: Reading::or_because(
                self.running.seeded.map(|taken| taken.as_secs_f64()),
                "it ran already",
            ),
            cure_of: self.running.cure_of.map(str::to_owned),
            baseline: self.running.baseline.map(str::to_owned),
            unchanged: self.growth.as_ref().and_then(|growth| growth.as_ref().err().cloned()),
            rounds: self.rounds.clone(),
            heat: self.heat.heat(),
            summaries: Vec::new(),
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        self.running.stop()
    }
}

fn violation(report: &AuditReport, kind: Kind) -> Violation {
    let examples = report.findings.get(&kind).map(|finding| finding.examples.as_slice()).unwrap_or_default();
    Violation {
        count: report.count(kind),
        examples: examples.iter().take(MAX_EXAMPLES).cloned().collect(),
        not_checked: report.not_checked.get(&kind).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reports_have_every_kind_of_violation_that_the_audit_finds() {
        let found: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let shown: BTreeSet<_> = AuditResult::default().violations().iter().map(|(name, ..)| *name).collect();
        assert_eq!(found, shown);
    }
}
