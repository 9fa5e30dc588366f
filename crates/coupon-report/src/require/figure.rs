//! The figures that limits can be set for.

use coupon_measure::stats::{Estimate, estimate};

use crate::model::{Figure, Metric, Quantile, Round};

/// A figure of a service, or of one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Percentile(Quantile),
    Max,
    Rate,
    Errors,
    Shards,
    Tables,
    Mean,
    Skew,
    EffectiveShards,
    EffectiveShardsByCpu,
    Stored,
    Lag,
    Late,
}

/// Of an endpoint, as they are spelt.
pub(super) const OF_ENDPOINT: [(&str, What); 10] = [
    ("p50", What::Percentile(Quantile::P50)),
    ("p90", What::Percentile(Quantile::P90)),
    ("p99", What::Percentile(Quantile::P99)),
    ("p99.9", What::Percentile(Quantile::P999)),
    ("p999", What::Percentile(Quantile::P999)),
    ("max", What::Max),
    ("rate", What::Rate),
    ("errors", What::Errors),
    ("shards", What::Shards),
    ("tables", What::Tables),
];

/// Of a service as a whole.
pub(super) const OF_SERVICE: [(&str, What); 9] = [
    ("rate", What::Rate),
    ("errors", What::Errors),
    ("mean", What::Mean),
    ("late", What::Late),
    ("skew", What::Skew),
    ("effective_shards", What::EffectiveShards),
    ("effective_shards_by_cpu", What::EffectiveShardsByCpu),
    ("stored", What::Stored),
    ("lag", What::Lag),
];

impl What {
    /// Of what kind it is: that decides the units it may be given in.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Percentile(_) | Self::Max | Self::Mean | Self::Lag | Self::Late => "ms",
            Self::Rate | Self::Stored => "/s",
            Self::Errors => "%",
            Self::Shards | Self::Tables | Self::Skew | Self::EffectiveShards | Self::EffectiveShardsByCpu => {
                ""
            }
        }
    }

    /// True when it takes samples of the shards: a load alone does not tell it.
    pub(super) fn needs_shards(self) -> bool {
        matches!(
            self,
            Self::Skew | Self::EffectiveShards | Self::EffectiveShardsByCpu | Self::Stored | Self::Lag
        )
    }

    /// The figure over rounds, and its interval where it is a median of them.
    pub(super) fn over(self, endpoint: Option<&str>, rounds: &[Round]) -> (Figure, Option<Estimate>) {
        if self == Self::Errors {
            return (errors(endpoint, rounds), None);
        }
        let figures: Vec<Figure> = rounds.iter().map(|round| self.of(endpoint, round)).collect();
        let values: Vec<f64> = figures.iter().filter_map(Figure::value).collect();
        let (all, missing) = (figures.len(), figures.len() - values.len());
        match (figures.iter().find_map(Figure::reason), missing) {
            (None, _) => {}
            (Some(why), _) if missing == all => return (Figure::unknown(why), None),
            // The rounds that have none may be the worst ones.
            (Some(why), _) => {
                return (Figure::unknown(format!("{missing} of {all} rounds have none: {why}")), None);
            }
        }
        match (self, estimate(&values)) {
            (_, None) => (Figure::unknown("no round was run"), None),
            // One bad round is what such a limit is about; a median would hide it.
            (Self::Max | Self::Lag, Some(_)) => {
                (Figure::of(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)), None)
            }
            (_, Some(estimate)) => (Figure::of(estimate.median), Some(estimate)),
        }
    }

    fn of(self, endpoint: Option<&str>, round: &Round) -> Figure {
        let metric = match (self, endpoint) {
            (Self::Percentile(quantile), Some(key)) => Metric::latency(key, quantile),
            (Self::Shards, Some(key)) => Metric::shards(key),
            (Self::Tables, Some(key)) => Metric::tables(key),
            (Self::Rate, None) => Metric::Granted,
            (Self::Mean, _) => Metric::Mean,
            (Self::Skew, _) => Metric::Skew,
            (Self::EffectiveShards, _) => Metric::EffectiveShards,
            (Self::EffectiveShardsByCpu, _) => Metric::EffectiveShardsByCpu,
            (Self::Stored, _) => Metric::Stored,
            (Self::Late, _) => return round.generator.lateness_p99_ms.clone(),
            (Self::Lag, _) => return lag(round),
            (_, Some(key)) => return self.of_endpoint(key, round),
            (_, None) => return Figure::unknown("it is a figure of an endpoint"),
        };
        metric.read(round)
    }

    fn of_endpoint(self, key: &str, round: &Round) -> Figure {
        let Some(found) = round.endpoints.get(key) else {
            return Figure::unknown("none was sent");
        };
        match self {
            Self::Max => {
                let max = found.latency.known().map(|latency| latency.max);
                Figure::or_because(max, found.latency.reason().unwrap_or_default())
            }
            _ if round.seconds > 0.0 => Figure::of(found.ok as f64 / round.seconds),
            _ => Figure::unknown("the round took no time"),
        }
    }
}

/// The part of all rounds' requests that failed, in percent: of an endpoint, or of all.
fn errors(endpoint: Option<&str>, rounds: &[Round]) -> Figure {
    let of = |round: &Round| -> (u64, u64) {
        let those = round.endpoints.iter().filter(|(key, _)| endpoint.is_none_or(|wanted| wanted == *key));
        those.fold((0, 0), |(failed, all), (_, found)| {
            (failed + found.errors.values().sum::<u64>(), all + found.requests)
        })
    };
    let (failed, all) = rounds.iter().map(of).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    if all == 0 {
        Figure::unknown("no request was sent")
    } else {
        Figure::of(failed as f64 / all as f64 * 100.0)
    }
}

/// The longest lag of any shard.
fn lag(round: &Round) -> Figure {
    let flows = || round.shards.iter().filter_map(|shard| shard.flow.as_ref());
    if let Some(why) = flows().find_map(|flow| flow.lag_ms_max.reason()) {
        return Figure::unknown(why);
    }
    let lags = flows().filter_map(|flow| flow.lag_ms_max.value());
    Figure::or_because(lags.reduce(f64::max), "no queue lies before the shards")
}
