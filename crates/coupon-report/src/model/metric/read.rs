//! Metrics read from rounds.

use coupon_measure::stats::{Estimate, estimate};

use super::Metric;
use super::register::Rounds;
use crate::endpoints;
use crate::model::{EndpointRound, Figure, LatencyMs, Reading, Round};

/// The reason of a round that sent no request of the kind.
pub(crate) const NONE_SENT: &str = "none was sent";

impl Metric {
    /// The round's figure.
    #[must_use]
    pub fn read(&self, round: &Round) -> Figure {
        let asked = |name: &str, read: &dyn Fn(&EndpointRound) -> Figure| {
            round.endpoints.get(name).map_or_else(|| Figure::unknown(NONE_SENT), read)
        };
        match self {
            Self::Granted | Self::Stored if round.grabs.sold_out > 0 => {
                Figure::unknown("sold out, so no throughput figure")
            }
            Self::Stored => round.flow.as_ref().map_or_else(
                || Figure::unknown("rows are stored before grabs are granted"),
                |flow| flow.stored_per_s.clone(),
            ),
            Self::Granted => Figure::of(round.grabs.granted_per_s),
            Self::Mean => mean(round),
            Self::EffectiveShards => round.effective_shards.clone(),
            Self::EffectiveShardsByCpu => round.effective_shards_by_cpu.clone(),
            Self::Skew => round.skew.clone(),
            Self::Errors | Self::ErrorsOf { .. } => failed(self.endpoint(), std::slice::from_ref(round)),
            Self::Late => round.generator.lateness_p99_ms.clone(),
            Self::Lag => lag(round),
            Self::Latency { endpoint, quantile } => match latency(round, endpoint) {
                Some((requests, latency)) => quantile.of(requests, latency),
                None => Figure::unknown(NONE_SENT),
            },
            Self::Slowest { endpoint } => match latency(round, endpoint) {
                Some((_, Reading::Known(latency))) => Figure::of(latency.max),
                Some((_, Reading::Unknown(reason))) => Figure::unknown(reason),
                None => Figure::unknown(NONE_SENT),
            },
            Self::Answered { endpoint } => asked(endpoint, &|found| match round.seconds {
                seconds if seconds > 0.0 => Figure::of(found.ok as f64 / seconds),
                _ => Figure::unknown("the round took no time"),
            }),
            Self::Shards { endpoint } => asked(endpoint, &|found| found.shards_visited.clone()),
            Self::Tables { endpoint } => asked(endpoint, &|found| found.tables_visited.clone()),
            Self::ScenarioLatency { scenario, quantile } => round
                .scenarios
                .get(scenario)
                .map_or_else(|| Figure::unknown(NONE_SENT), |found| quantile.of(found.timed, &found.latency)),
        }
    }

    /// The requests that failed in these rounds, and all of them: of the metric's endpoint, or of every one.
    pub(crate) fn failures<'a>(&self, rounds: impl IntoIterator<Item = &'a Round>) -> (u64, u64) {
        failures(self.endpoint(), rounds)
    }

    /// The figure that a limit is held against: that of all rounds, and its interval where it is a median of them. A round
    /// without a figure may be the worst, so that then there is none of all rounds either.
    pub(crate) fn over(&self, rounds: &[Round]) -> (Figure, Option<Estimate>) {
        let rounds_to_one = self.row().rounds;
        if rounds_to_one == Rounds::Together {
            return (failed(self.endpoint(), rounds), None);
        }
        let figures: Vec<Figure> = rounds.iter().map(|round| self.read(round)).collect();
        let values: Vec<f64> = figures.iter().filter_map(Figure::value).collect();
        let (all, missing) = (figures.len(), figures.len() - values.len());
        match figures.iter().find_map(Figure::reason) {
            None => {}
            Some(why) if missing == all => return (Figure::unknown(why), None),
            Some(why) => {
                return (Figure::unknown(format!("{missing} of {all} rounds have none: {why}")), None);
            }
        }
        match (rounds_to_one, estimate(&values)) {
            (_, None) => (Figure::unknown("no round was run"), None),
            (Rounds::Worst, Some(_)) => {
                (Figure::of(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)), None)
            }
            (_, Some(estimate)) => (Figure::of(estimate.median), Some(estimate)),
        }
    }
}

/// The latency of an endpoint, or of the grabs of one outcome, and the number of requests in it.
fn latency<'a>(round: &'a Round, about: &str) -> Option<(u64, &'a Reading<LatencyMs>)> {
    if let Some(found) = round.endpoints.get(about) {
        return Some((found.timed, &found.latency));
    }
    let (endpoint, outcome) = about.split_once('.')?;
    let found = round.endpoints.get(endpoint)?.outcomes.get(outcome)?;
    Some((found.requests, &found.latency))
}

/// The mean over a round's requests of every kind.
fn mean(round: &Round) -> Figure {
    let (mut sum, mut requests) = (0.0, 0.0);
    for (name, endpoint) in &round.endpoints {
        match &endpoint.mean_ms {
            Reading::Known(mean) => sum += mean * endpoint.requests as f64,
            // One kind that is left out would make a contestant that fails it look fast.
            Reading::Unknown(why) => return Figure::unknown(format!("{}: {why}", endpoints::name(name))),
        }
        requests += endpoint.requests as f64;
    }
    if requests > 0.0 { Figure::of(sum / requests) } else { Figure::unknown("no request was sent") }
}

/// The requests of all rounds that failed, and all: of an endpoint, or of every one.
fn failures<'a>(endpoint: Option<&str>, rounds: impl IntoIterator<Item = &'a Round>) -> (u64, u64) {
    let asked = rounds.into_iter().flat_map(|round| &round.endpoints);
    let those = asked.filter(|(key, _)| endpoint.is_none_or(|wanted| wanted == *key));
    those.fold((0, 0), |(failed, all), (_, found)| {
        (failed + found.errors.values().sum::<u64>(), all + found.requests)
    })
}

/// The part of all rounds' requests that failed, in percent: of an endpoint, or of all.
fn failed(endpoint: Option<&str>, rounds: &[Round]) -> Figure {
    let (failed, all) = failures(endpoint, rounds);
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

#[cfg(test)]
mod tests {
    use super::*;

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
