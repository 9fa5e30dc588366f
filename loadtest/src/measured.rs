//! Rounds of a report and the conditions of its load, made of what the load engine was given and measured.

use std::collections::BTreeMap;
use std::time::Duration;

use coupon_lab::conditions;
use coupon_loadgen::load::{Arrivals, EndpointOutcome, GrabLatency, LoadSpec, Outcome, PhaseOutcome, Tally};
use coupon_loadgen::workload::{CatalogueSpec, Endpoint, Requests, Scenario, ScenarioAction, Workload};
use coupon_measure::Machine;
use coupon_report::model::{
    CURVE_PERCENTILES, EndpointRound, Figure, GeneratorRound, GrabRound, Meta, MixPart, PhaseRound, Reading,
    Round, ScenarioRound,
};

/// The conditions that a load has on this machine; those of the services are left to the caller.
#[must_use]
pub fn meta(load: &LoadSpec, workload: &str, date: String) -> Meta {
    Meta {
        date,
        command: conditions::command(std::env::args()),
        machine: Machine::this(),
        seed: load.seed,
        workload: workload.to_owned(),
        mix: mix(&load.workload),
        catalogue: catalogue(load.workload.catalogue),
        curve_percentiles: CURVE_PERCENTILES.into(),
        rounds: 1,
        rate: match load.arrivals {
            Arrivals::Open { rate } => Some(rate),
            Arrivals::Closed => None,
        },
        connections: u32::try_from(load.connections).unwrap_or(u32::MAX),
        seconds_per_round: load.duration.as_secs_f64(),
        processes: 1,
        ..Meta::default()
    }
}

/// The workload's requests by scenario, as parts of all of them.
fn mix(workload: &Workload) -> Vec<MixPart> {
    let Requests::Scenarios(scenarios) = &workload.requests else { return Vec::new() };
    let drawn: f64 = scenarios.iter().map(Scenario::rate).sum();
    // The steps of checkouts come beside what is drawn.
    let beside: f64 =
        scenarios.iter().flat_map(|scenario| steps(scenario, drawn)).map(|(_, share)| share).sum();
    let part = |scenario: &Scenario| {
        let mut endpoints = BTreeMap::new();
        for (endpoint, share) in actions(scenario, drawn).chain(steps(scenario, drawn)) {
            *endpoints.entry(endpoint.key().to_owned()).or_insert(0.0) += share / (1.0 + beside);
        }
        let rooms = scenario.rooms.as_str().to_owned();
        MixPart { scenario: scenario.name.clone(), rooms, endpoints }
    };
    scenarios.iter().map(part).collect()
}

/// A scenario's requests, as parts of all that are drawn.
fn actions(scenario: &Scenario, drawn: f64) -> impl Iterator<Item = (Endpoint, f64)> {
    let weights: f64 = scenario.actions.iter().map(|action| action.weight).sum();
    let share = move |action: &ScenarioAction| scenario.rate() / drawn * action.weight / weights;
    scenario.actions.iter().map(move |action| (action.endpoint, share(action)))
}

/// The steps that follow from its grabs, likewise.
fn steps(scenario: &Scenario, drawn: f64) -> impl Iterator<Item = (Endpoint, f64)> {
    let grabs = actions(scenario, drawn).filter(|(endpoint, _)| *endpoint == Endpoint::Grab);
    let grabs: f64 = grabs.map(|(_, share)| share).sum();
    let steps = scenario.checkout.into_iter().flat_map(|checkout| checkout.steps());
    steps.filter(|(_, each)| *each > 0.0).map(move |(endpoint, each)| (endpoint, grabs * each))
}

fn catalogue(catalogue: CatalogueSpec) -> BTreeMap<String, u64> {
    let CatalogueSpec { users, rooms, hot_rooms, coupons_per_room } = catalogue;
    let numbers = [
        ("users", users),
        ("rooms", rooms),
        ("hot_rooms", hot_rooms),
        ("coupons_per_room", coupons_per_room),
    ];
    numbers.map(|(name, number)| (name.to_owned(), number)).into()
}

/// A load's outcome as a round. The caller adds what the load cannot see: work by shard, writes a second, the audit.
#[must_use]
pub fn round(index: u32, position: u32, load: &LoadSpec, outcome: &Outcome) -> Round {
    let timeout = load.timeout;
    let endpoints = outcome.endpoints.iter().map(|(endpoint, found)| {
        let plans = (found.planned, found.shards_visited, found.tables_visited);
        let figures = EndpointRound::of(&found.latency, found.ok, found.errors.clone(), plans, timeout);
        let figures = if *endpoint == Endpoint::Grab {
            let GrabLatency { granted, refused, failed } = &outcome.grab_latency;
            figures.of_grabs([granted, refused, failed], timeout)
        } else {
            figures
        };
        (endpoint.key().to_owned(), figures)
    });
    let asked = outcome.scenarios.iter().filter(|scenario| scenario.tally.requests() > 0);
    let scenarios = asked.map(|scenario| (scenario.name.clone(), together(&scenario.tally, timeout)));
    Round {
        index,
        position,
        seconds: outcome.elapsed.as_secs_f64(),
        grabs: grabs(load, outcome),
        endpoints: endpoints.collect(),
        scenarios: scenarios.collect(),
        phases: outcome
            .phases
            .iter()
            .filter(|phase| phase.tally.requests() > 0)
            .map(|of| phase(of, timeout))
            .collect(),
        generator: generator(outcome),
        ..Round::default()
    }
}

fn phase(of: &PhaseOutcome, timeout: Duration) -> PhaseRound {
    PhaseRound {
        name: of.name.clone(),
        from_s: of.from.as_secs_f64(),
        until_s: of.until.as_secs_f64(),
        requests: together(&of.tally, timeout),
    }
}

fn together(of: &Tally, timeout: Duration) -> ScenarioRound {
    ScenarioRound::of(&of.latency, of.requests(), of.ok, timeout)
}

fn grabs(load: &LoadSpec, outcome: &Outcome) -> GrabRound {
    let counts = &outcome.counts;
    let refused = [
        ("out_of_stock", counts.out_of_stock),
        ("duplicate", counts.duplicate),
        ("invalid_time", counts.invalid_time),
        ("rejected", counts.rejected),
    ];
    // What is due is due within the load's duration; how long the answers then take is another matter.
    let seconds = outcome.elapsed.min(load.duration).as_secs_f64();
    let due = outcome.endpoints.get(&Endpoint::Grab).map_or(0, EndpointOutcome::requests);
    GrabRound {
        offered_per_s: if seconds > 0.0 { due as f64 / seconds } else { 0.0 },
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
        busy_seconds: Figure::of(cost.busy_seconds),
        lateness_p99_ms: Figure::of(cost.lateness_p99_us as f64 / 1e3),
        lateness_p50_ms: Figure::of(cost.lateness_p50_us as f64 / 1e3),
        queued: cost.queued,
        unsent: outcome.unsent,
        sent: cost.requests,
        reconnects: outcome.reconnects,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use coupon_loadgen::load::{GeneratorCost, GrabsByOutcome, ScenarioOutcome, Tally};
    use coupon_loadgen::workload::Checkout;

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
            steps: Vec::new(),
            counts: GrabsByOutcome::default(),
            grab_latency: GrabLatency::new(),
            phases: Vec::new(),
            each: Vec::new(),
            began: Instant::now(),
            elapsed: Duration::from_secs(1),
            generator: GeneratorCost::default(),
            sold_out: 0,
            unsent: 0,
            reconnects: 0,
        };
        let round = round(0, 0, &LoadSpec::new(Arrivals::Closed), &outcome);
        let asked: Vec<(&str, u64, u64)> =
            round.scenarios.iter().map(|(name, of)| (name.as_str(), of.requests, of.ok)).collect();
        assert_eq!(asked, [("hot room", 1, 0), ("normal", 1, 1)]);
    }

    #[test]
    fn the_parts_of_a_mix_are_the_whole_workload() {
        let built_in = mix(&Workload::default());
        assert_eq!(built_in.len(), 4);
        assert_eq!((built_in[1].scenario.as_str(), built_in[1].rooms.as_str()), ("hot room", "hot"));
        let mut held = Workload::default();
        let Requests::Scenarios(scenarios) = &mut held.requests else { panic!() };
        scenarios[0].checkout = Some(Checkout::default());
        for workload in [Workload::default(), held] {
            let (mix, shares) = (mix(&workload), workload.shares());
            for (endpoint, share) in &shares {
                let parts: f64 = mix.iter().filter_map(|part| part.endpoints.get(endpoint.key())).sum();
                assert!((parts - share).abs() < 1e-12, "{endpoint:?}: {parts} not {share}");
            }
            assert!(mix.iter().flat_map(|part| part.endpoints.keys()).count() >= shares.len());
        }
    }
}
