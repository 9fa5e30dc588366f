//! The register itself: what is known of each metric.

use super::{Metric, Quantile};

/// The most that is made of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Limits are set for it.
    Limits,
    /// It is summed up over rounds as well.
    Summaries,
    /// Contestants are compared by it as well. Skew says the same as effective shards, and other percentiles little more
    /// than the median and the 99th: they are not.
    Verdicts,
}

/// The way from a metric's figures of several rounds to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounds {
    /// Their median.
    Median,
    /// The largest: one bad round is what a limit for it is about, and a median would hide it.
    Worst,
    /// The figure of all rounds' requests taken together.
    Together,
}

/// The entry of a metric in the register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The name in JSON, before that of an endpoint or scenario.
    pub(super) name: &'static str,
    /// The name for people; `{}` stands for an endpoint or scenario.
    pub(super) label: &'static str,
    /// The spellings in limits.
    pub(super) limits: &'static [&'static str],
    /// The unit of its figures; empty for pure numbers.
    pub(super) unit: &'static str,
    pub(super) more_is_better: bool,
    pub(super) rounds: Rounds,
    pub(super) most: Use,
    /// True when it takes samples of the shards: a load alone does not have it.
    pub(super) needs_shards: bool,
}

impl Row {
    /// A row of what most metrics have in common: less is better, medians are compared, and a load is enough to read it.
    const fn new(
        name: &'static str,
        label: &'static str,
        limits: &'static [&'static str],
        unit: &'static str,
    ) -> Self {
        Self {
            name,
            label,
            limits,
            unit,
            more_is_better: false,
            rounds: Rounds::Median,
            most: Use::Verdicts,
            needs_shards: false,
        }
    }

    const fn more_is_better(self) -> Self {
        Self { more_is_better: true, ..self }
    }

    const fn over(self, rounds: Rounds) -> Self {
        Self { rounds, ..self }
    }

    const fn at_most(self, most: Use) -> Self {
        Self { most, ..self }
    }

    const fn of_shards(self) -> Self {
        Self { needs_shards: true, ..self }
    }
}

impl Metric {
    /// The metric's row.
    pub(super) const fn row(&self) -> Row {
        use Quantile::{P50, P90, P99, P999};
        use Rounds::{Together, Worst};
        use Use::{Limits, Summaries};
        match self {
            Self::Granted => {
                Row::new("grabs.granted_per_s", "grabs granted a second", &["rate"], "/s").more_is_better()
            }
            Self::Stored => Row::new("grabs.stored_per_s", "rows stored a second", &["stored"], "/s")
                .more_is_better()
                .of_shards(),
            Self::Mean => Row::new("latency.mean", "mean time a request", &["mean"], "ms"),
            Self::EffectiveShards => {
                Row::new("shards.effective", "effective shards (rows)", &["effective_shards"], "")
                    .more_is_better()
                    .of_shards()
            }
            Self::EffectiveShardsByCpu => Row::new(
                "shards.effective_by_cpu",
                "effective shards (CPU)",
                &["effective_shards_by_cpu"],
                "",
            )
            .more_is_better()
            .of_shards(),
            Self::Skew => {
                Row::new("shards.skew", "skew (rows)", &["skew"], "").at_most(Summaries).of_shards()
            }
            Self::Errors => {
                Row::new("errors", "requests that failed", &["errors"], "%").over(Together).at_most(Limits)
            }
            Self::Late => {
                Row::new("generator.late_p99", "lateness of the generator", &["late"], "ms").at_most(Limits)
            }
            Self::Lag => Row::new("shards.lag", "longest lag of a shard", &["lag"], "ms")
                .over(Worst)
                .at_most(Limits)
                .of_shards(),
            Self::Latency { quantile: P50, .. } => Row::new("latency.p50", "{} p50", &["p50"], "ms"),
            Self::Latency { quantile: P90, .. } => {
                Row::new("latency.p90", "{} p90", &["p90"], "ms").at_most(Summaries)
            }
            Self::Latency { quantile: P99, .. } => Row::new("latency.p99", "{} p99", &["p99"], "ms"),
            Self::Latency { quantile: P999, .. } => {
                Row::new("latency.p999", "{} p99.9", &["p99.9", "p999"], "ms").at_most(Summaries)
            }
            Self::Slowest { .. } => {
                Row::new("latency.max", "{}: slowest", &["max"], "ms").over(Worst).at_most(Limits)
            }
            Self::Answered { .. } => Row::new("answers.ok_per_s", "{}: answers a second", &["rate"], "/s")
                .more_is_better()
                .at_most(Limits),
            Self::ErrorsOf { .. } => Row::new("answers.errors", "{}: requests that failed", &["errors"], "%")
                .over(Together)
                .at_most(Limits),
            Self::Shards { .. } => Row::new("fan_out.shards", "{}: shards a query", &["shards"], ""),
            Self::Tables { .. } => Row::new("fan_out.tables", "{}: tables a query", &["tables"], ""),
            Self::ScenarioLatency { quantile: P50, .. } => {
                Row::new("scenario.p50", "scenario {} p50", &[], "ms")
            }
            Self::ScenarioLatency { quantile: P90, .. } => {
                Row::new("scenario.p90", "scenario {} p90", &[], "ms").at_most(Summaries)
            }
            Self::ScenarioLatency { quantile: P99, .. } => {
                Row::new("scenario.p99", "scenario {} p99", &[], "ms")
            }
            Self::ScenarioLatency { quantile: P999, .. } => {
                Row::new("scenario.p999", "scenario {} p99.9", &[], "ms").at_most(Summaries)
            }
        }
    }
}
