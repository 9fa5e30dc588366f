//! The register of metrics: every figure that reports sum up, verdicts compare and limits hold. A metric is a variant, a place
//! in one of the three lists, a row in `register.rs` and its reading in `read.rs`.

mod quantile;
mod read;
mod register;

use std::fmt;
use std::str::FromStr;

use coupon_measure::format::list;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use quantile::Quantile;
pub(crate) use read::NONE_SENT;
use register::Use;

use crate::endpoints;

/// The outcomes of grabs that have latencies of their own: `latency.p99.grab.granted`.
pub const GRAB_OUTCOMES: [&str; 3] = ["granted", "refused", "failed"];

/// The least difference between two times that is one, in milliseconds: less is the timer's and the scheduler's.
pub const LEAST_MS: f64 = 0.05;

/// A name of a figure that every round has, such as `latency.p99.room_orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// Grabs granted a second.
    Granted,
    /// Rows stored a second while the load ran, where a queue lies between grabs and rows.
    Stored,
    /// The mean time that a request of the workload takes, over all endpoints as often as each was asked, in milliseconds.
    Mean,
    /// Effective shards by rows written.
    EffectiveShards,
    /// Effective shards by CPU time.
    EffectiveShardsByCpu,
    /// Skew by rows written.
    Skew,
    /// The part of all requests that failed, in percent.
    Errors,
    /// The lateness of requests (99th percentile) that is the generator's doing, in milliseconds.
    Late,
    /// The longest that a shard's latest stored row was behind, in milliseconds.
    Lag,
    /// A latency percentile of an endpoint, in milliseconds.
    Latency {
        /// The endpoint.
        endpoint: String,
        /// The percentile.
        quantile: Quantile,
    },
    /// The slowest request to an endpoint, in milliseconds.
    Slowest {
        /// The endpoint.
        endpoint: String,
    },
    /// Requests to an endpoint that were answered as they should be, a second.
    Answered {
        /// The endpoint.
        endpoint: String,
    },
    /// The part of an endpoint's requests that failed, in percent.
    ErrorsOf {
        /// The endpoint.
        endpoint: String,
    },
    /// Shards visited by a query of an endpoint, on average.
    Shards {
        /// The endpoint.
        endpoint: String,
    },
    /// Tables visited by a query of an endpoint, on average.
    Tables {
        /// The endpoint.
        endpoint: String,
    },
    /// A latency percentile of all that a scenario's users ask, in milliseconds.
    ScenarioLatency {
        /// The scenario.
        scenario: String,
        /// The percentile.
        quantile: Quantile,
    },
}

impl Metric {
    /// The metrics of a service as a whole, in the order of reports.
    #[must_use]
    pub const fn of_service() -> [Self; 9] {
        [
            Self::Granted,
            Self::Stored,
            Self::Mean,
            Self::EffectiveShards,
            Self::EffectiveShardsByCpu,
            Self::Skew,
            Self::Errors,
            Self::Late,
            Self::Lag,
        ]
    }

    /// The metrics of an endpoint, likewise.
    #[must_use]
    pub fn of_endpoint(endpoint: &str) -> Vec<Self> {
        let of = || endpoint.to_owned();
        let mut all = Quantile::ALL.map(|quantile| Self::latency(endpoint, quantile)).to_vec();
        all.extend([
            Self::Slowest { endpoint: of() },
            Self::Answered { endpoint: of() },
            Self::ErrorsOf { endpoint: of() },
            Self::shards(endpoint),
            Self::tables(endpoint),
        ]);
        all
    }

    /// The latencies of grabs of one outcome.
    pub(crate) fn of_outcome(outcome: &str) -> Vec<Self> {
        let endpoint = format!("grab.{outcome}");
        let mut all = Quantile::ALL.map(|quantile| Self::latency(&endpoint, quantile)).to_vec();
        all.push(Self::Slowest { endpoint });
        all
    }

    /// The metrics of a scenario, likewise.
    #[must_use]
    pub fn of_scenario(scenario: &str) -> Vec<Self> {
        Quantile::ALL.map(|quantile| Self::scenario(scenario, quantile)).to_vec()
    }

    /// All metrics, with those of one endpoint and one scenario.
    fn all(endpoint: &str, scenario: &str) -> Vec<Self> {
        let of_both = Self::of_endpoint(endpoint).into_iter().chain(Self::of_scenario(scenario));
        Self::of_service().into_iter().chain(of_both).collect()
    }

    /// The names of all.
    fn names() -> Vec<String> {
        Self::all("ENDPOINT", "SCENARIO").iter().map(Self::to_string).collect()
    }

    /// A latency percentile of an endpoint.
    #[must_use]
    pub fn latency(endpoint: &str, quantile: Quantile) -> Self {
        Self::Latency { endpoint: endpoint.to_owned(), quantile }
    }

    /// A latency percentile of a scenario.
    #[must_use]
    pub fn scenario(scenario: &str, quantile: Quantile) -> Self {
        Self::ScenarioLatency { scenario: scenario.to_owned(), quantile }
    }

    /// Shards visited by a query of an endpoint.
    #[must_use]
    pub fn shards(endpoint: &str) -> Self {
        Self::Shards { endpoint: endpoint.to_owned() }
    }

    /// Tables visited by a query of an endpoint.
    #[must_use]
    pub fn tables(endpoint: &str) -> Self {
        Self::Tables { endpoint: endpoint.to_owned() }
    }

    /// The endpoint it is about, if it is about one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Latency { endpoint, .. }
            | Self::Slowest { endpoint }
            | Self::Answered { endpoint }
            | Self::ErrorsOf { endpoint }
            | Self::Shards { endpoint }
            | Self::Tables { endpoint } => Some(endpoint),
            _ => None,
        }
    }

    /// The name for people: `room orders p99`.
    #[must_use]
    pub fn label(&self) -> String {
        let about = match self {
            Self::ScenarioLatency { scenario, .. } => scenario,
            _ => self.endpoint().map_or("", endpoints::name),
        };
        self.row().label.replace("{}", about)
    }

    /// The unit of its figures; empty for pure numbers.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        self.row().unit
    }

    /// True when more of it is better.
    #[must_use]
    pub const fn more_is_better(&self) -> bool {
        self.row().more_is_better
    }

    /// The spellings of it in limits, behind the endpoint that it is about.
    pub(crate) const fn limits(&self) -> &'static [&'static str] {
        self.row().limits
    }

    /// True when it takes samples of the shards: a load alone does not have it.
    pub(crate) const fn needs_shards(&self) -> bool {
        self.row().needs_shards
    }

    /// True when it is summed up over rounds.
    pub(crate) fn is_summed_up(&self) -> bool {
        self.row().most >= Use::Summaries
    }

    /// True when contestants are compared by it.
    pub(crate) fn is_compared(&self) -> bool {
        self.row().most >= Use::Verdicts
    }

    /// True for rates and times, which whatever holds up the load spoils.
    #[must_use]
    pub const fn is_timed(&self) -> bool {
        matches!(
            self,
            Self::Granted
                | Self::Stored
                | Self::Mean
                | Self::Lag
                | Self::Latency { .. }
                | Self::Slowest { .. }
                | Self::Answered { .. }
                | Self::ScenarioLatency { .. }
        )
    }

    /// True for what is counted and hardly drifts, whatever the machine does: the same requests have the same places.
    pub(crate) const fn is_counted(&self) -> bool {
        self.is_fan_out() || matches!(self, Self::EffectiveShards | Self::Skew)
    }

    /// The need that it bears on: an endpoint's key, `writes`, `spread`, or `workload` for what all requests share.
    pub(crate) fn need(&self) -> &str {
        match self {
            Self::Granted | Self::Stored => "writes",
            Self::EffectiveShards | Self::EffectiveShardsByCpu | Self::Skew => "spread",
            _ => match self.endpoint() {
                Some("grab") => "writes",
                Some(endpoint) => endpoint,
                None => "workload",
            },
        }
    }

    /// The least difference between two figures that a user would notice, in its unit.
    pub(crate) fn least_apart(&self) -> f64 {
        if self.unit() == "ms" { LEAST_MS } else { 0.0 }
    }

    /// True for the places that a query visits: they are counted and not timed, so that chance has no part in them.
    pub(crate) const fn is_fan_out(&self) -> bool {
        matches!(self, Self::Shards { .. } | Self::Tables { .. })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.row().name;
        match self {
            Self::ScenarioLatency { scenario: about, .. } => write!(f, "{name}.{about}"),
            _ => match self.endpoint() {
                Some(about) => write!(f, "{name}.{about}"),
                None => f.write_str(name),
            },
        }
    }
}

/// A string that names no metric. Its message lists those that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no metric; there are {list}", list = list(&Metric::names()))]
pub struct UnknownMetric(String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        // A name has two parts; an endpoint or scenario stands behind it, and may hold dots.
        let about = text.splitn(3, '.').nth(2).unwrap_or_default();
        let found = Self::all(about, about).into_iter().find(|metric| metric.to_string() == text);
        found.ok_or_else(|| UnknownMetric(text.to_owned()))
    }
}

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(text: String) -> Result<Self, UnknownMetric> {
        text.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_survives_its_own_name() {
        for metric in Metric::all("a.b", "hot room") {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert_eq!(Metric::latency("room_orders", Quantile::P999).to_string(), "latency.p999.room_orders");
        let error = "latency.p12.grab".parse::<Metric>().unwrap_err().to_string();
        assert!(error.contains("latency.p90.ENDPOINT") && error.contains("shards.skew"), "{error}");
    }

    #[test]
    fn a_spelling_in_limits_means_one_metric() {
        for metrics in [Metric::of_service().to_vec(), Metric::of_endpoint("grab")] {
            let mut spellings: Vec<&str> = metrics.iter().flat_map(Metric::limits).copied().collect();
            let all = spellings.len();
            spellings.sort_unstable();
            spellings.dedup();
            assert_eq!(spellings.len(), all);
            assert!(metrics.iter().all(|metric| !metric.limits().is_empty()));
        }
    }
}
