//! Figures that follow from a round or from all rounds of one contestant.

use std::collections::BTreeSet;

use coupon_core::ShardingStats;
use coupon_measure::stats::estimate;

use crate::model::{Contestant, Figure, Metric, NONE_SENT, Round, ShardRound, Summary};
use crate::{Report, endpoints};

/// Fills a round's shares, effective shards and skew from the work of its shards.
pub(super) fn fill_spread(round: &mut Round) {
    let rows = spread(&round.shards, |shard| &shard.rows_written);
    let none = || Figure::unknown("nothing was written");
    for (at, shard) in round.shards.iter_mut().enumerate() {
        shard.share = match &rows {
            Ok(stats) if stats.skew.is_none() => none(),
            Ok(stats) => stats.share.get(at).map_or_else(none, |share| Figure::of(*share)),
            Err(reason) => Figure::unknown(reason),
        };
    }
    let effective = |stats: &Result<ShardingStats, String>| match stats {
        Ok(stats) => stats.effective_shards.map_or_else(none, Figure::of),
        Err(reason) => Figure::unknown(reason),
    };
    round.effective_shards = effective(&rows);
    round.effective_shards_by_cpu = effective(&spread(&round.shards, |shard| &shard.cpu_seconds));
    round.skew = match rows {
        Ok(stats) => stats.skew.map_or_else(none, Figure::of),
        Err(reason) => Figure::unknown(reason),
    };
}

/// The spread of work; one shard that cannot be read makes the whole unknown, for it may be the hottest.
fn spread(shards: &[ShardRound], work: impl Fn(&ShardRound) -> &Figure) -> Result<ShardingStats, String> {
    if shards.is_empty() {
        return Err("no shard was read".into());
    }
    let read = |shard: &ShardRound| match work(shard) {
        Figure::Known(work) => Ok(*work),
        Figure::Unknown(reason) => Err(format!("shard {}: {reason}", shard.shard)),
    };
    Ok(ShardingStats::of(shards.iter().map(read).collect::<Result<Vec<f64>, String>>()?))
}

/// The endpoints that any round of a contestant has, in the order of reports.
pub(crate) fn endpoints_of<'a>(contestants: impl IntoIterator<Item = &'a Contestant>) -> Vec<String> {
    let rounds = contestants.into_iter().flat_map(|contestant| &contestant.rounds);
    let mut keys: Vec<String> = rounds.flat_map(|round| round.endpoints.keys().cloned()).collect();
    keys.sort();
    keys.dedup();
    endpoints::sort(&mut keys);
    keys
}

/// The scenarios that any round of a contestant has, in the order of the workload.
pub(crate) fn scenarios_of(report: &Report) -> Vec<String> {
    let rounds = || report.contestants.iter().flat_map(|contestant| &contestant.rounds);
    let asked = |name: &String| rounds().any(|round| round.scenarios.contains_key(name));
    let mut names: Vec<String> = report.meta.mix.iter().map(|part| part.scenario.clone()).collect();
    names.retain(asked);
    names
}

/// Each shard's median share over the rounds; none for a shard that no round could read.
pub(crate) fn median_shares(contestant: &Contestant) -> Vec<Option<f64>> {
    let shard = |at: usize| -> Option<f64> {
        let shares: Vec<f64> = contestant
            .rounds
            .iter()
            .filter_map(|round| round.shards.get(at))
            .filter_map(|shard: &ShardRound| shard.share.value())
            .collect();
        estimate(&shares).map(|estimate| estimate.median)
    };
    (0..contestant.measured_shards()).map(shard).collect()
}

/// Every metric of a contestant over its rounds.
pub(super) fn summaries(contestant: &Contestant) -> Vec<Summary> {
    let has_queues = contestant.rounds.iter().any(|round| round.flow.is_some());
    let mut metrics = Metric::of_service().to_vec();
    metrics.retain(|metric| has_queues || *metric != Metric::Stored);
    metrics.extend(endpoints_of([contestant]).iter().flat_map(|endpoint| Metric::of_endpoint(endpoint)));
    metrics.extend(contestant.outcomes().into_iter().flat_map(Metric::of_outcome));
    let scenarios: BTreeSet<&String> =
        contestant.rounds.iter().flat_map(|round| round.scenarios.keys()).collect();
    metrics.extend(scenarios.into_iter().flat_map(|scenario| Metric::of_scenario(scenario)));
    metrics.retain(Metric::is_summed_up);
    metrics.into_iter().map(|metric| summary(contestant, metric)).collect()
}

fn summary(contestant: &Contestant, metric: Metric) -> Summary {
    let figures: Vec<Figure> = contestant.rounds.iter().map(|round| metric.read(round)).collect();
    let values: Vec<f64> = figures.iter().filter_map(Figure::value).collect();
    let missing = figures.len() - values.len();
    // Of an endpoint that only some rounds asked, those say why there is no figure.
    let reasons = || figures.iter().filter_map(Figure::reason);
    let why = reasons().find(|why| *why != NONE_SENT).or_else(|| reasons().next());
    let why = why.unwrap_or("no round was run");
    let reason = match (missing, values.is_empty()) {
        (0, false) => None,
        (_, true) => Some(why.to_owned()),
        (n, false) => Some(format!("{n} of {} rounds left out: {why}", figures.len())),
    };
    Summary { unit: metric.unit().to_owned(), estimate: estimate(&values), reason, metric }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rows: &[Figure]) -> Round {
        let shards = rows.iter().zip(0..);
        Round {
            shards: shards
                .map(|(rows, shard)| ShardRound { shard, rows_written: rows.clone(), ..Default::default() })
                .collect(),
            ..Round::default()
        }
    }

    #[test]
    fn one_hot_shard_of_four_is_worth_one_machine() {
        let mut round = round(&[0.0, 90.0, 0.0, 0.0].map(Figure::of));
        fill_spread(&mut round);
        assert_eq!((round.effective_shards.value(), round.skew.value()), (Some(1.0), Some(4.0)));
        assert_eq!(round.shards[1].share.value(), Some(1.0));
    }

    #[test]
    fn a_shard_that_cannot_be_read_makes_the_spread_unknown_not_even() {
        let mut round = round(&[Figure::of(5.0), Figure::unknown("no cgroup")]);
        fill_spread(&mut round);
        assert_eq!(round.effective_shards.reason(), Some("shard 1: no cgroup"));
        assert_eq!(round.shards[0].share.value(), None);
    }

    #[test]
    fn an_endpoint_that_some_rounds_asked_lacks_a_figure_for_their_reason() {
        use crate::model::{EndpointRound, LatencyMs, Quantile, Reading};
        let asked = EndpointRound {
            timed: 9,
            latency: Reading::Known(LatencyMs { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 }),
            ..EndpointRound::default()
        };
        let mut rounds = vec![Round::default(); 3];
        rounds[1].endpoints.insert("recent".to_owned(), asked);
        let contestant = Contestant { rounds, ..Contestant::default() };
        let reason = |quantile| summary(&contestant, Metric::latency("recent", quantile)).reason.unwrap();
        assert_eq!(reason(Quantile::P99), "a p99 takes 100 requests a round");
        assert_eq!(reason(Quantile::P50), "2 of 3 rounds left out: none was sent");
    }

    #[test]
    fn rounds_without_a_figure_are_left_out_and_said() {
        let rounds = [1, 0, 0].map(|sold_out| {
            let mut round = round(&[Figure::of(1.0)]);
            round.grabs.granted_per_s = 100.0;
            round.grabs.sold_out = sold_out;
            round
        });
        let contestant = Contestant { rounds: rounds.to_vec(), ..Contestant::default() };
        let granted = summary(&contestant, Metric::Granted);
        assert_eq!(granted.estimate.unwrap().n, 2);
        assert_eq!(granted.reason.unwrap(), "1 of 3 rounds left out: sold out, so no throughput figure");
    }
}
