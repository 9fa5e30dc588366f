//! `report.json`: everything a comparison measured and concluded. `docs/REPORT_SCHEMA.md` describes it for readers.
//!
//! Whoever measures fills [`Meta`] and the contestants' rounds; [`crate::report::summarise`] fills the rest from
//! them, so that a report can be summarised again from its own file.

mod answer;
mod audit;
mod metric;
mod outlook;
mod reading;
mod round;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::vertical::Vertical;

pub use answer::{Answer, KeyFigure, Requirement};
pub use audit::{AuditResult, AuditTotals, MAX_EXAMPLES, Violation};
pub use metric::{Metric, Quantile, UnknownMetric};
pub use outlook::{Outlook, OutlookCase};
pub use reading::{Figure, Reading};
pub use round::{
    CURVE_PERCENTILES, EndpointRound, Flow, GeneratorRound, GrabRound, LatencyMs, Round, ScenarioRound,
    ShardFlow, ShardLook, ShardRound,
};
pub use verdict::{Advice, Call, Summary, Topic, Verdict};

/// The version of the layout of `report.json`. A field that changes its meaning or goes away raises it; new
/// fields do not.
pub const SCHEMA: u32 = 1;

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was run, where and when.
    pub meta: Meta,
    /// Who was compared, with every round.
    pub contestants: Vec<Contestant>,
    /// What more shards would change.
    #[serde(default)]
    pub outlook: Reading<Outlook>,
    /// What it brings to keep a coupon's wide columns apart.
    #[serde(default)]
    pub vertical: Reading<Vertical>,
    /// The limits that figures had to keep, and whether they did.
    #[serde(default)]
    pub requirements: Vec<Requirement>,
    /// Which, for this workload. Filled by [`crate::report::summarise`].
    #[serde(default)]
    pub answer: Answer,
    /// Every comparison made. Filled by [`crate::report::summarise`].
    pub verdicts: Vec<Verdict>,
    /// All audits together. Filled by [`crate::report::summarise`].
    pub audit: AuditTotals,
    /// What follows for the reader. Filled by [`crate::report::summarise`].
    pub advice: Vec<Advice>,
    /// What to keep in mind with these figures: those of [`Meta::warnings`] not included. Filled by
    /// [`crate::report::summarise`].
    pub cautions: Vec<String>,
}

impl Report {
    /// A report that has yet to be summarised.
    #[must_use]
    pub fn new(meta: Meta, contestants: Vec<Contestant>) -> Self {
        Self {
            schema: SCHEMA,
            meta,
            contestants,
            outlook: Reading::default(),
            vertical: Reading::default(),
            requirements: Vec::new(),
            answer: Answer::default(),
            verdicts: Vec::new(),
            audit: AuditTotals::default(),
            advice: Vec::new(),
            cautions: Vec::new(),
        }
    }

    /// The contestant of that name.
    #[must_use]
    pub fn contestant(&self, name: &str) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    /// Whether a contestant stands for itself: it is no cure, or what it is to cure was not measured.
    #[must_use]
    pub fn is_plain(&self, contestant: &Contestant) -> bool {
        contestant.cure_of.as_deref().is_none_or(|of| self.contestant(of).is_none())
    }

    /// The comparison of two contestants by a metric, whichever way round it was made.
    #[must_use]
    pub fn verdict(&self, metric: &Metric, one: &str, other: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| {
            verdict.metric == *metric
                && ((verdict.a == one && verdict.b == other) || (verdict.a == other && verdict.b == one))
        })
    }
}

/// What was run, where and when: enough to do it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// What the report is called.
    pub title: String,
    /// When the comparison began, RFC 3339, UTC.
    pub date: String,
    /// The command that repeats it.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// Versions of everything that took part, by name (`loadtest`, `sqlite`, …).
    pub versions: BTreeMap<String, String>,
    /// What the schedule was generated from.
    pub seed: u64,
    /// `embedded` or `servers`.
    pub backend: String,
    /// The workload: its file, or what it was called.
    pub workload: String,
    /// What it asks, by scenario. Empty in reports from before it was kept.
    #[serde(default)]
    pub mix: Vec<MixPart>,
    /// Which ids exist: how many `users`, `rooms`, `hot_rooms` and `coupons_per_room`.
    #[serde(default)]
    pub catalogue: BTreeMap<String, u64>,
    /// The percentiles that `curve_ms` of an endpoint is at. Empty in reports from before there were curves.
    #[serde(default)]
    pub curve_percentiles: Vec<f64>,
    /// How many rounds were asked for.
    pub rounds: u32,
    /// Requests a second that were offered; `null` for a closed loop (as fast as answers come).
    pub rate: Option<f64>,
    /// Connections that the load generator held open.
    pub connections: u32,
    /// How long requests were sent in each round.
    pub seconds_per_round: f64,
    /// How many stored results the shards held before the first round.
    pub history_rows: u64,
    /// Milliseconds added before every call to a shard, to stand for a network; 0 for none.
    pub shard_rtt_ms: f64,
    /// Service processes of each contestant.
    #[serde(default = "one")]
    pub processes: u32,
    /// The cores that each shard's server could use; `null` when none was limited.
    #[serde(default)]
    pub shard_cpu: Option<f64>,
    /// Whether a shard was on another machine than the load generator.
    #[serde(default)]
    pub shards_elsewhere: bool,
    /// What whoever measured wants known: a busy machine, a round repeated.
    pub warnings: Vec<String>,
}

/// A scenario of the workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MixPart {
    /// What it is called.
    pub scenario: String,
    /// Whose rooms it is about: `any` or `hot`.
    pub rooms: String,
    /// Each endpoint's part of all requests of the workload, 0 to 1.
    pub endpoints: BTreeMap<String, f64>,
}

const fn one() -> u32 {
    1
}

/// The machine that everything ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Logical processors that could be used.
    pub cores: Reading<u32>,
    /// The processor's model.
    pub cpu: Reading<String>,
    /// Operating system and kernel.
    pub kernel: Reading<String>,
}

/// One strategy in one configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// What the report calls it; unique.
    pub name: String,
    /// The strategy's own name.
    pub strategy: String,
    /// Every parameter that decides where a row lives: the strategy's `layout()`.
    pub layout: String,
    /// The program that served it.
    pub service: String,
    /// How many shards it had.
    pub shards: u16,
    /// How long its data took to seed, in seconds.
    #[serde(default)]
    pub seed_seconds: Figure,
    /// The name of the plain variant that this one is to cure of its hotspot.
    pub cure_of: Option<String>,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// Every metric over the rounds. Filled by [`crate::report::summarise`].
    pub summaries: Vec<Summary>,
}

impl Contestant {
    /// A metric over the rounds.
    #[must_use]
    pub fn summary(&self, metric: &Metric) -> Option<&Summary> {
        self.summaries.iter().find(|summary| summary.metric == *metric)
    }

    /// A metric's median over the rounds.
    #[must_use]
    pub fn median(&self, metric: &Metric) -> Option<f64> {
        self.summary(metric)?.estimate.as_ref().map(|estimate| estimate.median)
    }
}
