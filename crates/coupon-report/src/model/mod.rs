//! `report.json`: everything a comparison measured and concluded. The comments on its fields are the descriptions that
//! `docs/REPORT_SCHEMA.md` shows.
//!
//! A comparison fills [`Meta`], the rounds, [`Heat`], [`Outlook`] and [`Vertical`]; [`crate::summarise`] fills the rest from
//! them (summaries, verdicts, answer, audit, advice, cautions, and each round's share, effective shards and skew), so that a
//! report can be summarised again from its own file.

mod answer;
mod audit;
mod growth;
mod heat;
mod metric;
mod need;
mod outlook;
mod round;
mod verdict;
mod vertical;

use std::collections::BTreeMap;

use coupon_measure::format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use coupon_measure::{Figure, Machine, Reading};

pub use answer::{Answer, KeyFigure, Requirement};
pub use audit::{AuditResult, AuditTotals, MAX_EXAMPLES, Violation};
pub use growth::{Asked, GrowthPart, GrowthRound, Part};
pub use heat::{Heat, HeatMap, HeatRange, HotKey};
pub(crate) use metric::NONE_SENT;
pub use metric::{GRAB_OUTCOMES, LEAST_MS, Metric, Quantile, UnknownMetric};
pub use need::{Doubt, DoubtKind, Grounds, Need, NeedResult, Place, Placed, PositionEffect, Shape};
pub use outlook::{Outlook, OutlookCase};
pub use round::{
    CURVE_PERCENTILES, EndpointRound, Flow, GeneratorRound, GrabRound, LatencyMs, OutcomeRound, PhaseRound,
    Round, ScenarioRound, ShardFlow, ShardLook, ShardRound,
};
pub use verdict::{Advice, Call, Summary, Topic, Verdict};
pub use vertical::{Pair, Read, Vertical, VerticalRead};

/// The version of the layout of `report.json`. A field that changes its meaning or goes away raises it; new
/// fields do not.
pub const SCHEMA: u32 = 3;

/// A comparison: what was measured, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this layout: 3. A field that changes its meaning or goes away raises it; new fields do not.
    pub schema: u32,
    /// The conditions: what was run, where and when.
    pub meta: Meta,
    /// The contestants, with every round and its summaries.
    pub contestants: Vec<Contestant>,
    /// The effect of more shards.
    pub outlook: Reading<Outlook>,
    /// The gain from keeping a coupon's wide columns in a table of their own.
    pub vertical: Reading<Vertical>,
    /// The limits that were set with `--require`, and whether they were kept.
    pub requirements: Vec<Requirement>,
    /// The strategy to choose for this workload, how sure that is, and what would change it.
    pub answer: Answer,
    /// The reasons for which there is no verdict on some or all figures, or a contestant leads in nothing, the gravest first.
    pub doubts: Vec<Doubt>,
    /// The contestants that lead, are equal or are behind, need by need, and the grounds for it.
    pub needs: Vec<Need>,
    /// Every comparison made.
    pub verdicts: Vec<Verdict>,
    /// Comparisons of whole distributions: of every two that verdicts compare, by every endpoint that strategies differ in.
    pub shapes: Vec<Shape>,
    /// The effect of each place in the order of turns.
    pub positions: Vec<PositionEffect>,
    /// All audits together.
    pub audit: AuditTotals,
    /// Conclusions for the reader, as sentences.
    pub advice: Vec<Advice>,
    /// Reservations about these figures, the gravest first; those of `meta.warnings` are not among them.
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
            doubts: Vec::new(),
            needs: Vec::new(),
            verdicts: Vec::new(),
            shapes: Vec::new(),
            positions: Vec::new(),
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

    /// True when a contestant stands for itself: it is no cure, or the variant that it is to cure was not measured.
    #[must_use]
    pub fn is_plain(&self, contestant: &Contestant) -> bool {
        contestant.cure_of.as_deref().is_none_or(|of| self.contestant(of).is_none())
    }

    /// The verdict on a need.
    #[must_use]
    pub fn need(&self, need: &str) -> Option<&Need> {
        self.needs.iter().find(|found| found.need == need)
    }

    /// True when a contestant leads in nothing.
    #[must_use]
    pub fn is_barred(&self, name: &str) -> bool {
        self.doubts.iter().any(|doubt| doubt.kind.bars() && doubt.contestant.as_deref() == Some(name))
    }

    /// The first doubt that the load was the limit, and no contestant.
    #[must_use]
    pub fn doubt_of_load(&self) -> Option<&Doubt> {
        self.doubts.iter().find(|doubt| doubt.kind.is_of_the_load())
    }

    /// True when the load was the limit, and no contestant.
    #[must_use]
    pub fn was_the_load_the_limit(&self) -> bool {
        self.doubt_of_load().is_some()
    }

    /// The doubts that the answer does not name itself. Where the load was the limit of several contestants, the first of them stands
    /// for all.
    #[must_use]
    pub fn doubts_beside_answer(&self) -> Vec<String> {
        let mut beside = Vec::new();
        for kind in self.doubts.chunk_by(|one, other| one.kind == other.kind) {
            let (named, unnamed): (Vec<&Doubt>, Vec<&Doubt>) =
                kind.iter().partition(|doubt| self.answer.verdict.contains(&doubt.text));
            let is_of_the_load = unnamed.first().is_some_and(|doubt| doubt.kind.is_of_the_load());
            let apart = if is_of_the_load { usize::from(named.is_empty()) } else { unnamed.len() };
            let (apart, alike) = unnamed.split_at(apart);
            beside.extend(apart.iter().map(|doubt| doubt.text.clone()));
            let alike: Vec<&str> = alike.iter().filter_map(|doubt| doubt.contestant.as_deref()).collect();
            if !alike.is_empty() {
                beside.push(format!("Likewise {}.", format::list(&alike)));
            }
        }
        beside
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

/// The conditions of a comparison: enough to do it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The report's title.
    pub title: String,
    /// The time at which the comparison began, RFC 3339, UTC.
    pub date: String,
    /// The command that repeats it; of a run of the live page, the comparison that decides.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// Versions of everything that took part, by name (`loadtest`, `sqlite`, …).
    pub versions: BTreeMap<String, String>,
    /// The seed of the schedule of requests.
    pub seed: u64,
    /// `embedded` or `servers`.
    pub backend: String,
    /// The workload's file or name.
    pub workload: String,
    /// The workload's requests, by scenario. Empty where it has no scenarios.
    pub mix: Vec<MixPart>,
    /// The ids that exist: how many `users`, `rooms`, `hot_rooms` and `coupons_per_room`.
    pub catalogue: BTreeMap<String, u64>,
    /// The percentiles of each `curve_ms`.
    pub curve_percentiles: Vec<f64>,
    /// The number of rounds that was asked for.
    pub rounds: u32,
    /// Requests a second that were offered; `null` for a closed loop (as fast as answers come).
    pub rate: Option<f64>,
    /// Connections that the load generator held open.
    pub connections: u32,
    /// Seconds for which requests were sent in each round; of a trace, whose rounds have lengths of their own, in the longest.
    pub seconds_per_round: f64,
    /// Results stored before the first round.
    pub history_rows: u64,
    /// Milliseconds added before every call to a shard, to stand for a network; 0 for none.
    pub shard_rtt_ms: f64,
    /// Service processes of each contestant.
    pub processes: u32,
    /// The cores that each shard's server could use (`--shard-cpu`); `null` when none was limited, or none could be: then
    /// `warnings` says why.
    pub shard_cpu: Option<f64>,
    /// True when a shard was on another machine than the load generator.
    pub shards_elsewhere: bool,
    /// True when no audit was to be made: `loadtest run` loads a service whose data it may not be able to read.
    pub unaudited: bool,
    /// Notes taken while measuring: a busy machine, a round repeated.
    pub warnings: Vec<String>,
}

/// A scenario of the workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MixPart {
    /// Its name.
    pub scenario: String,
    /// The rooms that it asks about: `any`, `hot` or `others`.
    pub rooms: String,
    /// Each endpoint's part of all requests of the workload, 0 to 1.
    pub endpoints: BTreeMap<String, f64>,
}

/// One strategy in one configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contestant {
    /// A unique name, which verdicts and advice refer to.
    pub name: String,
    /// The strategy's own name.
    pub strategy: String,
    /// Every parameter that decides where a row lives: the strategy's `layout()`.
    pub layout: String,
    /// The program that served it.
    pub service: String,
    /// The number of its shards before the first round; 0 when it is not known.
    pub shards: u16,
    /// Results stored before the first round; `null` when they were not counted.
    #[serde(default)]
    pub history_rows: Option<u64>,
    /// `debug` or `release`, as its program was built; `null` when it does not say.
    #[serde(default)]
    pub build: Option<String>,
    /// Seconds that its data took to seed.
    pub seed_seconds: Figure,
    /// The name of the plain variant whose hotspot this one is to cure; `null` for a plain one.
    pub cure_of: Option<String>,
    /// The description of a baseline, which is what most teams run and no strategy of this system; `null` for a strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The reason for which its layout was left alone in a comparison that changes the layout of contestants; `null` where it was
    /// changed, and in any other comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// The keys of the grabs that were granted, over all rounds.
    #[serde(default)]
    pub heat: Reading<Heat>,
    /// Every metric over the rounds.
    pub summaries: Vec<Summary>,
}

impl Contestant {
    /// The most shards that it had: a layout that changes in the middle of a turn goes on over more than it began with. 0 when
    /// none is known.
    #[must_use]
    pub fn most_shards(&self) -> u16 {
        self.shards.max(u16::try_from(self.measured_shards()).unwrap_or(u16::MAX))
    }

    /// The number of shards that its rounds have figures of.
    #[must_use]
    pub fn measured_shards(&self) -> usize {
        self.rounds.iter().map(|round| round.shards.len()).max().unwrap_or(0)
    }

    /// The outcomes that its grabs had, if they were several: the times of each are told apart then.
    #[must_use]
    pub fn outcomes(&self) -> Vec<&'static str> {
        let grabs = || self.rounds.iter().filter_map(|round| round.endpoints.get("grab"));
        let had = |outcome: &&str| {
            grabs().any(|grab| grab.outcomes.get(*outcome).is_some_and(|of| of.requests > 0))
        };
        let outcomes: Vec<&str> = GRAB_OUTCOMES.into_iter().filter(had).collect();
        if outcomes.len() > 1 { outcomes } else { Vec::new() }
    }

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
