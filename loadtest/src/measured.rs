//! Rounds of a report, made of what the load engine measured.

use coupon_loadgen::load::Outcome;
use coupon_report::model::{EndpointRound, Figure, GeneratorRound, GrabRound, Reading, Round, ScenarioRound};

/// A load's outcome as a round. The caller adds what the load cannot see: work by shard, writes a second, the audit.
#[must_use]
pub fn round(index: u32, position: u32, outcome: &Outcome) -> Round {
    let endpoints = outcome.endpoints.iter().map(|(endpoint, found)| {
        let plans = (found.planned, found.shards_visited, found.tables_visited);
        let figures = EndpointRound::of(&found.latency, found.ok, found.errors.clone(), plans);
        (endpoint.key().to_owned(), figures)
    });
    let asked = outcome.scenarios.iter().filter(|scenario| scenario.tally.requests() > 0);
    let scenarios = asked.map(|scenario| {
        let of = &scenario.tally;
        (scenario.name.clone(), ScenarioRound::of(&of.latency, of.requests(), of.ok))
    });
    Round {
        index,
        position,
        seconds: outcome.elapsed.as_secs_f64(),
        grabs: grabs(outcome),
        endpoints: endpoints.collect(),
        scenarios: scenarios.collect(),
        generator: generator(outcome),
        ..Round::default()
    }
}

fn grabs(outcome: &Outcome) -> GrabRound {
    let counts = &outcome.counts;
    let refused = [
        ("out_of_stock", counts.out_of_stock),
        ("duplicate", counts.duplicate),
        ("invalid_time", counts.invalid_time),
        ("rejected", counts.rejected),
    ];
    let seconds = outcome.elapsed.as_secs_f64();
    GrabRound {
        offered_per_s: if seconds > 0.0 { outcome.grabs.len() as f64 / seconds } else { 0.0 },
        granted_per_s: outcome.granted_per_second(),
        granted: counts.granted,
        refused: refused.into_iter().filter(|(_, n)| *n > 0).map(|(why, n)| (why.to_owned(), n)).collect(),
        unknown: counts.unknown,
        sold_out: outcome.sold_out,
    }
}

fn generator(outcome: &Outcome) -> GeneratorRound {
    let cost = &outcome.generator;
    GeneratorRound {
        cpu_seconds: Reading::or_because(cost.cpu_seconds, "this system does not tell a thread's CPU time"),
        lateness_p99_ms: Figure::of(cost.lateness_p99_us as f64 / 1e3),
        unsent: outcome.unsent,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use coupon_loadgen::load::{GeneratorCost, GrabCounts, ScenarioOutcome, Tally};

    use super::*;

    #[test]
    fn a_scenario_that_asked_nothing_is_not_in_a_round() {
        let scenario = |name: &str, ok| ScenarioOutcome {
            name: name.to_owned(),
            tally: Tally { ok, errors: 1 - ok, ..Tally::new() },
        };
        let idle = ScenarioOutcome { name: "admin".to_owned(), tally: Tally::new() };
        let outcome = Outcome {
            endpoints: BTreeMap::new(),
            scenarios: vec![scenario("normal", 1), idle, scenario("hot room", 0)],
            grabs: Vec::new(),
            counts: GrabCounts::default(),
            phases: Vec::new(),
            elapsed: Duration::from_secs(1),
            generator: GeneratorCost::default(),
            sold_out: 0,
            unsent: 0,
            reconnects: 0,
        };
        let round = round(0, 0, &outcome);
        let asked: Vec<(&str, u64, u64)> =
            round.scenarios.iter().map(|(name, of)| (name.as_str(), of.requests, of.ok)).collect();
        assert_eq!(asked, [("hot room", 1, 0), ("normal", 1, 1)]);
    }
}
