//! The metrics that contestants are compared by.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Figure, LatencyMs, Reading, Round};
use crate::endpoints;

/// A percentile of a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Quantile {
    P50,
    P90,
    P99,
    P999,
}

impl Quantile {
    const ALL: [(Self, &str, &str); 4] = [
        (Self::P50, "p50", "p50"),
        (Self::P90, "p90", "p90"),
        (Self::P99, "p99", "p99"),
        (Self::P999, "p999", "p99.9"),
    ];

    /// The number of requests of which one is slower than it (but for a median); with fewer, the percentile is the slowest
    /// request under another name.
    #[must_use]
    pub fn least_requests(self) -> u64 {
        match self {
            Self::P50 => 1,
            Self::P90 => 10,
            Self::P99 => 100,
            Self::P999 => 1_000,
        }
    }

    /// Reads that percentile of a round with that number of requests.
    fn of(self, requests: u64, latency: &Reading<LatencyMs>) -> Figure {
        let latency = match latency {
            Reading::Known(latency) => latency,
            Reading::Unknown(reason) => return Figure::unknown(reason),
        };
        let least = self.least_requests();
        if requests < least {
            return Figure::unknown(format!("a {} takes {least} requests a round", self.label()));
        }
        Figure::of(match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
        })
    }

    fn key(self) -> &'static str {
        Self::ALL.iter().find(|(q, ..)| *q == self).map_or("", |(_, key, _)| key)
    }

    /// The percentile as people write it: `p99.9`.
    #[must_use]
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(q, ..)| *q == self).map_or("", |(.., label)| label)
    }
}

/// A name of a figure that every round has, such as `latency.p99.room_orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// Grabs granted a second.
    Granted,
    /// Rows stored a second while the load ran, where a queue lies between grabs and rows.
    Stored,
    /// A latency percentile of an endpoint, in milliseconds.
    Latency {
        /// The endpoint.
        endpoint: String,
        /// The percentile.
        quantile: Quantile,
    },
    /// A latency percentile of all that a scenario's users ask, in milliseconds.
    ScenarioLatency {
        /// The scenario.
        scenario: String,
        /// The percentile.
        quantile: Quantile,
    },
    /// The mean time that a request of the workload takes, over all endpoints as often as each was asked, in milliseconds.
    Mean,
    /// Effective shards by rows written.
    EffectiveShards,
    /// Effective shards by CPU time.
    EffectiveShardsByCpu,
    /// Skew by rows written.
    Skew,
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
}

impl Metric {
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
            Self::Latency { endpoint, .. } | Self::Shards { endpoint } | Self::Tables { endpoint } => {
                Some(endpoint)
            }
            _ => None,
        }
    }

    /// The name for people: `room orders p99`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Granted => "grabs granted a second".into(),
            Self::Stored => "rows stored a second".into(),
            Self::Latency { endpoint, quantile } => {
                format!("{} {}", endpoints::name(endpoint), quantile.label())
            }
            Self::ScenarioLatency { scenario, quantile } => {
                format!("scenario {scenario} {}", quantile.label())
            }
            Self::Mean => "mean time a request".into(),
            Self::EffectiveShards => "effective shards (rows)".into(),
            Self::EffectiveShardsByCpu => "effective shards (CPU)".into(),
            Self::Skew => "skew (rows)".into(),
            Self::Shards { endpoint } => format!("{}: shards a query", endpoints::name(endpoint)),
            Self::Tables { endpoint } => format!("{}: tables a query", endpoints::name(endpoint)),
        }
    }

    /// The unit of its figures; empty for pure numbers.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Granted | Self::Stored => "/s",
            Self::Latency { .. } | Self::ScenarioLatency { .. } | Self::Mean => "ms",
            _ => "",
        }
    }

    /// True when more of it is better.
    #[must_use]
    pub fn more_is_better(&self) -> bool {
        matches!(self, Self::Granted | Self::Stored | Self::EffectiveShards | Self::EffectiveShardsByCpu)
    }

    /// The round's figure.
    #[must_use]
    pub fn read(&self, round: &Round) -> Figure {
        let endpoint = |name: &str| round.endpoints.get(name);
        let missing = || Figure::unknown("none was sent");
        match self {
            Self::Granted | Self::Stored if round.grabs.sold_out > 0 => {
                Figure::unknown("sold out, so no throughput figure")
            }
            Self::Stored => round.flow.as_ref().map_or_else(
                || Figure::unknown("rows are stored before grabs are granted"),
                |flow| flow.stored_per_s.clone(),
            ),
            Self::Granted => Figure::of(round.grabs.granted_per_s),
            Self::Latency { endpoint: name, quantile } => endpoint(name).map_or_else(missing, |found| {
                quantile.of(found.timed.unwrap_or(found.requests), &found.latency)
            }),
            Self::ScenarioLatency { scenario, quantile } => {
                round.scenarios.get(scenario).map_or_else(missing, |found| {
                    quantile.of(found.timed.unwrap_or(found.requests), &found.latency)
                })
            }
            Self::Mean => mean(round),
            Self::EffectiveShards => round.effective_shards.clone(),
            Self::EffectiveShardsByCpu => round.effective_shards_by_cpu.clone(),
            Self::Skew => round.skew.clone(),
            Self::Shards { endpoint: name } => {
                endpoint(name).map_or_else(missing, |found| found.shards_visited.clone())
            }
            Self::Tables { endpoint: name } => {
                endpoint(name).map_or_else(missing, |found| found.tables_visited.clone())
            }
        }
    }
}

/// The mean over a round's requests of every kind.
fn mean(round: &Round) -> Figure {
    let (mut sum, mut requests) = (0.0, 0.0);
    for (name, endpoint) in &round.endpoints {
        match &endpoint.mean_ms {
            Reading::Known(mean) => sum += mean * endpoint.requests as f64,
            // One kind that is left out would make whoever fails it look fast.
            Reading::Unknown(why) => return Figure::unknown(format!("{}: {why}", endpoints::name(name))),
        }
        requests += endpoint.requests as f64;
    }
    if requests > 0.0 { Figure::of(sum / requests) } else { Figure::unknown("no request was sent") }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => f.write_str("grabs.granted_per_s"),
            Self::Stored => f.write_str("grabs.stored_per_s"),
            Self::Latency { endpoint, quantile } => write!(f, "latency.{}.{endpoint}", quantile.key()),
            Self::ScenarioLatency { scenario, quantile } => {
                write!(f, "scenario.{}.{scenario}", quantile.key())
            }
            Self::Mean => f.write_str("latency.mean"),
            Self::EffectiveShards => f.write_str("shards.effective"),
            Self::EffectiveShardsByCpu => f.write_str("shards.effective_by_cpu"),
            Self::Skew => f.write_str("shards.skew"),
            Self::Shards { endpoint } => write!(f, "fan_out.shards.{endpoint}"),
            Self::Tables { endpoint } => write!(f, "fan_out.tables.{endpoint}"),
        }
    }
}

/// A string that names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no metric")]
pub struct UnknownMetric(String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        let unknown = || UnknownMetric(text.to_owned());
        match text {
            "grabs.granted_per_s" => return Ok(Self::Granted),
            "grabs.stored_per_s" => return Ok(Self::Stored),
            "latency.mean" => return Ok(Self::Mean),
            "shards.effective" => return Ok(Self::EffectiveShards),
            "shards.effective_by_cpu" => return Ok(Self::EffectiveShardsByCpu),
            "shards.skew" => return Ok(Self::Skew),
            _ => {}
        }
        let mut parts = text.splitn(3, '.');
        let quantile = |key: &str| {
            let found = Quantile::ALL.iter().find(|(_, known, _)| *known == key);
            found.map(|(quantile, ..)| *quantile).ok_or_else(unknown)
        };
        match (parts.next(), parts.next(), parts.next()) {
            (Some("latency"), Some(key), Some(endpoint)) => Ok(Self::latency(endpoint, quantile(key)?)),
            (Some("scenario"), Some(key), Some(scenario)) => Ok(Self::scenario(scenario, quantile(key)?)),
            (Some("fan_out"), Some("shards"), Some(endpoint)) => Ok(Self::shards(endpoint)),
            (Some("fan_out"), Some("tables"), Some(endpoint)) => Ok(Self::tables(endpoint)),
            _ => Err(unknown()),
        }
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
    use crate::model::EndpointRound;

    #[test]
    fn a_metric_survives_its_own_name() {
        for metric in [
            Metric::Granted,
            Metric::Stored,
            Metric::Mean,
            Metric::EffectiveShards,
            Metric::EffectiveShardsByCpu,
            Metric::Skew,
            Metric::latency("room_orders", Quantile::P999),
            Metric::scenario("hot room", Quantile::P99),
            Metric::shards("recent"),
            Metric::tables("a.b"),
        ] {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert!("latency.p12.grab".parse::<Metric>().is_err());
    }

    #[test]
    fn a_percentile_that_no_request_was_slower_than_is_no_figure() {
        let latency = LatencyMs { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };
        let of = |quantile: Quantile, requests| quantile.of(requests, &Reading::Known(latency));
        assert_eq!(of(Quantile::P99, 100), Figure::of(3.0));
        assert_eq!(of(Quantile::P99, 99).reason(), Some("a p99 takes 100 requests a round"));
        assert_eq!(of(Quantile::P50, 99), Figure::of(1.0));
    }

    #[test]
    fn the_mean_weighs_each_endpoint_by_its_requests_and_leaves_none_out() {
        let endpoint = |requests, mean_ms| EndpointRound { requests, mean_ms, ..EndpointRound::default() };
        let mut round = Round::default();
        assert_eq!(Metric::Mean.read(&round).value(), None);
        round.endpoints.insert("grab".into(), endpoint(900, Figure::of(1.0)));
        round.endpoints.insert("recent".into(), endpoint(100, Figure::of(11.0)));
        assert_eq!(Metric::Mean.read(&round), Figure::of(2.0));
        round.endpoints.insert("global".into(), endpoint(3, Figure::unknown("none was answered")));
        assert_eq!(Metric::Mean.read(&round).reason(), Some("global stats: none was answered"));
    }

    #[test]
    fn a_round_that_sold_out_is_no_throughput_figure() {
        let mut round = Round::default();
        round.grabs.granted_per_s = 900.0;
        assert_eq!(Metric::Granted.read(&round), Figure::of(900.0));
        round.grabs.sold_out = 1;
        assert_eq!(Metric::Granted.read(&round).value(), None);
    }
}
