//! The state of a run that the page shows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coupon_lab::growth::ChangeEvent;
use coupon_loadgen::load::{Arrivals, GrabRecord, LoadProgress};
use coupon_loadgen::workload::Workload;
use coupon_report::Report;
use coupon_report::model::{AuditResult, Reading};
use coupon_service::api::{AdminStats, HotResults};
use coupon_strategies::Spec;
use serde::Serialize;
use tokio::sync::watch;

use super::command;
use super::figures::{self, LoadFigures, Ticks};
use super::growth::{Change, Writes};
use super::hot;
use crate::compare::{CompareOptions, Observer, Sample, latest_lag_ms};
use crate::heat::KeyHeat;

/// The span of a shard's writes a second: a shorter one would jump with every batch.
const RECENT: Duration = Duration::from_secs(1);

/// The phase of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// There was none yet.
    #[default]
    Idle,
    /// It is under way.
    Running,
    /// It ended well, and has a report.
    Done,
    /// It did not.
    Failed,
}

/// Everything that is shown.
#[derive(Debug, Default, Serialize)]
struct Shown {
    /// The run's number since the page is served.
    run: u64,
    phase: Phase,
    /// The step that goes on, or the error.
    stage: String,
    /// It was asked to stop.
    stopping: bool,
    rate: f64,
    seconds: f64,
    /// The part of the load that is over.
    elapsed: f64,
    /// The span that the figures of the kinds reach back over.
    window: f64,
    report: Option<String>,
    /// The command that compares the same for a decision.
    command: String,
    /// The file that the command takes, once there is one.
    file: Option<String>,
    contestants: Vec<Contestant>,
    #[serde(skip)]
    workload: Workload,
}

/// A contestant of it.
#[derive(Debug, Default, Serialize)]
struct Contestant {
    name: String,
    layout: String,
    stage: &'static str,
    shards: Vec<Shard>,
    /// Rows written in all ÷ rows on the hottest shard.
    effective: Option<f64>,
    requests_per_s: f64,
    granted: u64,
    errors: u64,
    /// The errors by kind, for people.
    failed: String,
    /// Requests that are due and wait for a free connection.
    unsent: usize,
    /// The hot keys, a line for each kind.
    hot: Vec<String>,
    /// The keys that were granted, over the time of the load.
    heat: Vec<hot::Map>,
    kinds: LoadFigures,
    /// The change of its layout, once it was announced.
    change: Option<Change>,
    audit: Option<Audit>,
    #[serde(skip)]
    ticks: Ticks,
    #[serde(skip)]
    keys: KeyHeat,
    /// The rows that it writes, if its layout is to be changed.
    #[serde(skip)]
    writes: Option<Writes>,
    /// The number of grabs that are in them.
    #[serde(skip)]
    grabs: usize,
    /// The seconds for which its shards have been sampled.
    #[serde(skip)]
    looked: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Shard {
    /// Rows written a second, of late; at the end, on average.
    per_s: f64,
    /// Rows written since the load began.
    rows: u64,
    /// Results handed over and not in their table yet.
    waiting: u64,
    lag_ms: Option<f64>,
}

impl Contestant {
    /// Takes in the grabs that have come since the last time.
    fn warm(&mut self, grabs: &[GrabRecord]) {
        let new = grabs.get(self.grabs..).unwrap_or_default();
        self.keys.add(new);
        if let Some(writes) = &mut self.writes {
            writes.add(new);
        }
        self.grabs = grabs.len();
        self.heat = self.keys.heat().known().map(hot::maps).unwrap_or_default();
    }
}

/// An audit, or why there is none.
#[derive(Debug, Serialize)]
struct Audit {
    passed: Option<bool>,
    told: String,
}

/// The state that is shown, and the listeners for its changes.
#[derive(Debug)]
pub(super) struct Board {
    shown: Mutex<Shown>,
    changed: watch::Sender<()>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { shown: Mutex::default(), changed: watch::Sender::new(()) }
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All of it.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(&*self.shown()).unwrap_or_default()
    }

    /// A run begins.
    pub(super) fn begin(&self, run: u64, options: &CompareOptions) {
        let changes = options.growth.is_some();
        let named = |spec: &Spec| Contestant {
            name: spec.name.clone(),
            writes: spec.strategy().ok().filter(|_| changes).map(Writes::new),
            ..Contestant::default()
        };
        let rate = match options.load.arrivals {
            Arrivals::Open { rate } => rate,
            Arrivals::Closed => 0.0,
        };
        self.change(|shown| {
            *shown = Shown {
                run,
                phase: Phase::Running,
                stage: "starting".to_owned(),
                rate,
                seconds: options.load.duration.as_secs_f64(),
                window: figures::WINDOW.as_secs_f64(),
                command: command::command(options),
                contestants: options.contestants.iter().map(named).collect(),
                workload: options.load.workload.clone(),
                ..Shown::default()
            };
        });
    }

    pub(super) fn stopping(&self) {
        self.change(|shown| shown.stopping = true);
    }

    pub(super) fn fail(&self, why: &str) {
        self.change(|shown| {
            shown.phase = Phase::Failed;
            why.clone_into(&mut shown.stage);
            for contestant in &mut shown.contestants {
                (contestant.stage, contestant.unsent) = ("stopped", 0);
            }
        });
    }

    /// A run has ended well: from now on its figures are those of its report.
    pub(super) fn done(&self, run: u64, report: &Report, has_file: bool) {
        self.change(|shown| {
            shown.phase = Phase::Done;
            "done".clone_into(&mut shown.stage);
            shown.report = Some(format!("/runs/{run}/report.html"));
            shown.file = has_file.then(|| format!("/runs/{run}/workload.toml"));
            for contestant in &mut shown.contestants {
                let of = report.contestants.iter().find(|of| of.name == contestant.name);
                let Some(round) = of.and_then(|of| of.rounds.first()) else { continue };
                contestant.kinds = figures::of_round(round, &shown.workload);
                contestant.requests_per_s = contestant.kinds.per_s();
                contestant.errors = contestant.kinds.endpoints.iter().map(|kind| kind.errors).sum();
                contestant.failed = figures::failed(round.endpoints.values().map(|of| &of.errors));
                contestant.granted = round.grabs.granted;
                contestant.heat = of.and_then(|of| of.heat.known()).map(hot::maps).unwrap_or_default();
                contestant.effective = round.effective_shards.value();
                contestant.change = round.growth.as_ref().map(Change::of_round);
                for shard in &mut contestant.shards {
                    shard.per_s = shard.rows as f64 / contestant.looked.max(f64::MIN_POSITIVE);
                }
            }
        });
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown());
        self.changed.send_replace(());
    }

    fn contestant(&self, number: usize, change: impl FnOnce(&mut Contestant)) {
        self.change(|shown| {
            if let Some(contestant) = shown.contestants.get_mut(number) {
                change(contestant);
            }
        });
    }
}

impl Observer for Board {
    fn stage(&self, what: &str) {
        self.change(|shown| what.clone_into(&mut shown.stage));
    }

    fn started(&self, contestant: usize, stats: &AdminStats) {
        self.contestant(contestant, |contestant| {
            contestant.layout.clone_from(&stats.layout);
            contestant.shards = vec![Shard::default(); stats.shards.into()];
            contestant.stage = "ready";
        });
    }

    fn load(&self, contestant: usize, progress: &LoadProgress<'_>) {
        self.change(|shown| {
            let Shown { contestants, workload, elapsed, seconds, .. } = shown;
            let Some(contestant) = contestants.get_mut(contestant) else { return };
            *elapsed = progress.elapsed.as_secs_f64().clamp(*elapsed, elapsed.max(*seconds));
            contestant.ticks.take(progress);
            contestant.kinds = contestant.ticks.kinds(workload);
            contestant.requests_per_s = contestant.kinds.per_s();
            contestant.warm(progress.grabs());
            if let (Some(change), Some(writes)) = (&mut contestant.change, &contestant.writes) {
                change.count(writes, progress.elapsed);
            }
            contestant.granted = progress.granted;
            contestant.errors = progress.errors;
            contestant.failed = figures::failed(progress.endpoints().map(|(_, of)| &of.errors));
            contestant.unsent = progress.queued;
            contestant.stage = "under load";
        });
    }

    fn shards(&self, contestant: usize, samples: &[Sample]) {
        let shards = shards(samples);
        self.contestant(contestant, |contestant| {
            contestant.effective = effective(&shards);
            contestant.shards = shards;
            contestant.looked = samples.last().map_or(0.0, |last| last.at.as_secs_f64());
        });
    }

    fn hot(&self, contestant: usize, hot: &HotResults) {
        let told = hot::lines(hot);
        self.contestant(contestant, |contestant| contestant.hot = told);
    }

    fn growth(&self, contestant: usize, began: Instant, event: &ChangeEvent<'_>) {
        self.contestant(contestant, |contestant| {
            if let Some(writes) = &mut contestant.writes {
                Change::step(&mut contestant.change, writes, began, event);
            }
        });
    }

    fn drained(&self, contestant: usize) {
        self.change(|shown| {
            // The first to finish a stage starts the next for all.
            "auditing".clone_into(&mut shown.stage);
            if let Some(contestant) = shown.contestants.get_mut(contestant) {
                contestant.stage = "being audited";
                contestant.unsent = 0;
            }
        });
    }

    fn audited(&self, contestant: usize, audit: &Reading<AuditResult>) {
        let audit = Audit::of(audit);
        self.contestant(contestant, |contestant| {
            contestant.stage = "audited";
            contestant.audit = Some(audit);
        });
    }
}

/// The work of each shard, from all samples of it.
fn shards(samples: &[Sample]) -> Vec<Shard> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let since = last.at.saturating_sub(RECENT);
    let recent = samples.iter().rfind(|sample| sample.at <= since).unwrap_or(first);
    let seconds = last.at.saturating_sub(recent.at).as_secs_f64();
    let rows = |of: &Sample, shard: usize| of.rows.get(shard).copied().unwrap_or(0);
    (0..last.rows.len())
        .map(|shard| Shard {
            per_s: if seconds > 0.0 {
                rows(last, shard).saturating_sub(rows(recent, shard)) as f64 / seconds
            } else {
                0.0
            },
            rows: rows(last, shard).saturating_sub(rows(first, shard)),
            waiting: last.waiting.get(shard).copied().unwrap_or(0),
            lag_ms: latest_lag_ms(samples, shard),
        })
        .collect()
}

/// The effective shards of the work; none before there was any.
fn effective(shards: &[Shard]) -> Option<f64> {
    let all: u64 = shards.iter().map(|shard| shard.rows).sum();
    let hottest = shards.iter().map(|shard| shard.rows).max().filter(|rows| *rows > 0)?;
    Some(all as f64 / hottest as f64)
}

impl Audit {
    fn of(audit: &Reading<AuditResult>) -> Self {
        let found = match audit {
            Reading::Known(found) => found,
            Reading::Unknown(why) => return Self { passed: None, told: format!("n/a: {why}") },
        };
        let AuditResult { acknowledged, stored, unknown, .. } = found;
        let violations = found.violations();
        let told: Vec<String> =
            violations.iter().map(|(name, _, violation)| violation.sentence(name)).collect();
        Self {
            passed: Some(found.passed()),
            told: format!(
                "{} acknowledged, {} stored, {} unclear; {}",
                coupon_measure::format::count(*acknowledged),
                coupon_measure::format::count(*stored),
                coupon_measure::format::count(*unknown),
                told.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, rows: [u64; 2], waiting: [u64; 2]) -> Sample {
        Sample { at: Duration::from_millis(millis), rows: rows.into(), waiting: waiting.into() }
    }

    #[test]
    fn a_shards_pace_is_that_of_the_last_second_and_its_rows_are_all_of_them() {
        let samples = [
            sample(0, [100, 7], [0, 0]),
            sample(1_000, [1_100, 7], [0, 0]),
            sample(2_000, [1_300, 107], [5, 0]),
        ];
        let shards = shards(&samples);
        assert_eq!((shards[0].per_s, shards[0].rows, shards[0].waiting), (200.0, 1_200, 5));
        assert_eq!((shards[1].per_s, shards[1].rows), (100.0, 100));
        assert_eq!(effective(&shards), Some(1_300.0 / 1_200.0));
    }

    #[test]
    fn nothing_written_is_no_figure() {
        assert_eq!(effective(&shards(&[sample(0, [9, 9], [0, 0])])), None);
        assert!(shards(&[]).is_empty());
    }

    #[test]
    fn an_audit_that_was_not_made_did_not_pass() {
        let audit = Audit::of(&Reading::unknown("its data is elsewhere"));
        assert_eq!((audit.passed, audit.told.as_str()), (None, "n/a: its data is elsewhere"));
        let mut found = AuditResult { acknowledged: 1_234, stored: 1_233, ..AuditResult::default() };
        assert_eq!(Audit::of(&Reading::Known(found.clone())).passed, Some(true));
        found.lost.count = 1;
        let audit = Audit::of(&Reading::Known(found));
        assert!(audit.passed == Some(false) && audit.told.contains("1,234 acknowledged"), "{audit:?}");
        assert!(audit.told.contains("1 lost"), "{audit:?}");
    }
}
