//! The outcome of each kind of request, over the last seconds of a load.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use coupon_loadgen::load::{EndpointOutcome, LoadProgress, Tally};
use coupon_loadgen::workload::{Endpoint, Requests, Scenario, Workload};
use coupon_measure::format;
use coupon_report::endpoints;
use coupon_report::model::{EndpointRound, Metric, Quantile, Round, ScenarioRound};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The span that the figures of a load that goes on reach back over: long enough for a percentile, short enough to
/// see a change.
pub(super) const WINDOW: Duration = Duration::from_secs(5);

/// Requests of one kind: to one endpoint, or of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RequestFigures {
    /// The name for people.
    pub(super) name: String,
    /// The scenarios that ask it, or what the scenario asks.
    pub(super) about: String,
    pub(super) per_s: f64,
    /// None with too few requests for it.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Failed requests, since the load began.
    pub(super) errors: u64,
}

/// The same requests twice: by scenario, in the workload's order, and by endpoint.
#[derive(Debug, Default, Serialize)]
pub(super) struct LoadFigures {
    pub(super) scenarios: Vec<RequestFigures>,
    pub(super) endpoints: Vec<RequestFigures>,
}

impl LoadFigures {
    /// All requests a second.
    pub(super) fn per_s(&self) -> f64 {
        self.endpoints.iter().map(|kind| kind.per_s).sum()
    }
}

/// The outcome of a load by a moment.
#[derive(Debug)]
struct Tick {
    at: Duration,
    endpoints: BTreeMap<Endpoint, Tally>,
    scenarios: Vec<Tally>,
}

/// The last moments of a load.
#[derive(Debug, Default)]
pub(super) struct Ticks(VecDeque<Tick>);

impl Ticks {
    /// Takes one in, and forgets those that no window reaches any more.
    pub(super) fn take(&mut self, progress: &LoadProgress<'_>) {
        self.0.push_back(Tick {
            at: progress.elapsed,
            endpoints: progress.endpoints().map(|(endpoint, outcome)| (endpoint, tally(outcome))).collect(),
            scenarios: progress.scenarios().iter().map(|scenario| scenario.tally.clone()).collect(),
        });
        let oldest = progress.elapsed.saturating_sub(WINDOW);
        // The last one before the window is where it begins.
        while self.0.get(1).is_some_and(|second| second.at <= oldest) {
            self.0.pop_front();
        }
    }

    /// Every kind of request that was asked, over the window.
    pub(super) fn kinds(&self, workload: &Workload) -> LoadFigures {
        let Some(last) = self.0.back() else { return LoadFigures::default() };
        let first = self.0.front().filter(|first| self.0.len() > 1 && first.at + WINDOW <= last.at);
        let seconds = last.at.saturating_sub(first.map_or(Duration::ZERO, |first| first.at)).as_secs_f64();
        let endpoint = |(endpoint, now): (&Endpoint, &Tally)| {
            let before = first.and_then(|first| first.endpoints.get(endpoint));
            kind(name_of(*endpoint), asked_by(workload, *endpoint), now, before, seconds)
        };
        let scenario = |(number, (scenario, now)): (usize, (&Scenario, &Tally))| {
            let before = first.and_then(|first| first.scenarios.get(number));
            kind(scenario.name.clone(), asks(scenario), now, before, seconds)
        };
        let asked = scenarios_of(workload).iter().zip(&last.scenarios).enumerate();
        LoadFigures {
            scenarios: asked.filter(|(_, (_, now))| now.requests() > 0).map(scenario).collect(),
            endpoints: last.endpoints.iter().map(endpoint).collect(),
        }
    }
}

fn tally(outcome: &EndpointOutcome) -> Tally {
    Tally { ok: outcome.ok, errors: outcome.error_count(), latency: outcome.latency.clone() }
}

fn kind(name: String, about: String, now: &Tally, before: Option<&Tally>, seconds: f64) -> RequestFigures {
    let latency = since(&now.latency, before.map(|before| &before.latency));
    let requests = now.requests() - before.map_or(0, Tally::requests);
    let ms = |quantile: Quantile, at: f64| {
        (latency.len() >= quantile.least_requests()).then(|| latency.value_at_quantile(at) as f64 / 1e3)
    };
    RequestFigures {
        name,
        about,
        per_s: if seconds > 0.0 { requests as f64 / seconds } else { 0.0 },
        p50_ms: ms(Quantile::P50, 0.5),
        p99_ms: ms(Quantile::P99, 0.99),
        errors: now.errors,
    }
}

/// The recordings since.
fn since(now: &Histogram<u64>, before: Option<&Histogram<u64>>) -> Histogram<u64> {
    let mut recorded = now.clone();
    if let Some(before) = before {
        // What was recorded before is in it still, so this cannot fail; if it did, the whole is a figure as well.
        let _ = recorded.subtract(before);
    }
    recorded
}

/// Every kind of request over a whole round, as its report has it.
pub(super) fn of_round(round: &Round, workload: &Workload) -> LoadFigures {
    let seconds = round.seconds.max(f64::MIN_POSITIVE);
    let ms = |metric: Metric| metric.read(round).value();
    let endpoint = |(key, of): (&String, &EndpointRound)| {
        let endpoint = Endpoint::of_key(key);
        let kind = RequestFigures {
            name: endpoints::name(key).to_owned(),
            about: endpoint.map(|endpoint| asked_by(workload, endpoint)).unwrap_or_default(),
            per_s: of.requests as f64 / seconds,
            p50_ms: ms(Metric::latency(key, Quantile::P50)),
            p99_ms: ms(Metric::latency(key, Quantile::P99)),
            errors: of.errors.values().sum(),
        };
        (endpoint, kind)
    };
    let scenario = |(scenario, of): (&Scenario, &ScenarioRound)| RequestFigures {
        name: scenario.name.clone(),
        about: asks(scenario),
        per_s: of.requests as f64 / seconds,
        p50_ms: ms(Metric::scenario(&scenario.name, Quantile::P50)),
        p99_ms: ms(Metric::scenario(&scenario.name, Quantile::P99)),
        errors: of.requests - of.ok,
    };
    let mut endpoints: Vec<(Option<Endpoint>, RequestFigures)> =
        round.endpoints.iter().map(endpoint).collect();
    endpoints.sort_by_key(|(endpoint, _)| *endpoint);
    let asked = scenarios_of(workload).iter().filter_map(|of| Some((of, round.scenarios.get(&of.name)?)));
    LoadFigures {
        scenarios: asked.filter(|(_, of)| of.requests > 0).map(scenario).collect(),
        endpoints: endpoints.into_iter().map(|(_, kind)| kind).collect(),
    }
}

/// Errors of all endpoints together: `12 × 503, 3 × time-out`.
pub(super) fn failed<'a>(errors: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> String {
    let mut all = BTreeMap::<&str, u64>::new();
    for (kind, number) in errors.flatten() {
        *all.entry(kind).or_default() += number;
    }
    let told = all.into_iter().map(|(kind, number)| format!("{} × {kind}", format::count(number)));
    told.collect::<Vec<_>>().join(", ")
}

fn scenarios_of(workload: &Workload) -> &[Scenario] {
    match &workload.requests {
        Requests::Scenarios(scenarios) => scenarios,
        Requests::Trace(_) | Requests::DistinctGrabs { .. } | Requests::Echo => &[],
    }
}

fn name_of(endpoint: Endpoint) -> String {
    endpoint.name().to_owned()
}

fn asked_by(workload: &Workload, endpoint: Endpoint) -> String {
    let asks =
        scenarios_of(workload).iter().filter(|scenario| scenario.users > 0.0 && scenario.asks(endpoint));
    asks.map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn asks(scenario: &Scenario) -> String {
    let actions = scenario.actions.iter().filter(|action| action.weight > 0.0);
    actions.map(|action| name_of(action.endpoint)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load that has answered so many grabs of normal users, each after so many microseconds.
    fn tick(at: u64, grabs: &[u64]) -> Tick {
        let mut of = Tally { ok: grabs.len() as u64, errors: 0, latency: Histogram::new(3).unwrap() };
        grabs.iter().for_each(|micros| of.latency.record(*micros).unwrap());
        let none = Tally { ok: 0, errors: 0, latency: Histogram::new(3).unwrap() };
        Tick {
            at: Duration::from_secs(at),
            endpoints: [(Endpoint::Grab, of.clone())].into(),
            scenarios: vec![of, none],
        }
    }

    #[test]
    fn what_lies_before_the_window_counts_no_longer() {
        let early = vec![1_000; 500];
        let late = [early.clone(), vec![9_000; 50]].concat();
        let ticks = Ticks([tick(5, &early), tick(10, &late)].into());
        let kinds = ticks.kinds(&Workload::default());
        for (kinds, name) in [(&kinds.endpoints, "grab"), (&kinds.scenarios, "normal")] {
            let [kind] = kinds.as_slice() else { panic!("{kinds:?}") };
            assert_eq!((kind.name.as_str(), kind.per_s), (name, 10.0));
            assert!((kind.p50_ms.unwrap() - 9.0).abs() < 0.01, "{kind:?}");
            assert_eq!(kind.p99_ms, None, "of 50 requests there is no 99th percentile");
        }
    }

    #[test]
    fn a_load_that_has_just_begun_counts_from_its_start() {
        let ticks = Ticks([tick(1, &[1_000; 100]), tick(2, &[1_000; 200])].into());
        let kinds = ticks.kinds(&Workload::default());
        assert_eq!((kinds.endpoints[0].per_s, kinds.per_s()), (100.0, 100.0));
        assert!(kinds.endpoints[0].p99_ms.is_some());
        assert!(Ticks::default().kinds(&Workload::default()).endpoints.is_empty());
    }

    #[test]
    fn errors_are_summed_by_kind() {
        let one = BTreeMap::from([("503".to_owned(), 1_000), ("time-out".to_owned(), 2)]);
        let other = BTreeMap::from([("503".to_owned(), 5)]);
        assert_eq!(failed([&one, &other].into_iter()), "1,005 × 503, 2 × time-out");
        assert_eq!(failed(std::iter::empty()), "");
    }

    #[test]
    fn a_request_names_the_scenarios_that_ask_it_and_a_scenario_what_it_asks() {
        let workload = Workload::default();
        assert_eq!(asked_by(&workload, Endpoint::Grab), "normal, hot room");
        assert_eq!(asked_by(&workload, Endpoint::Recent), "cross-shard");
        assert_eq!(asked_by(&workload, Endpoint::Echo), "");
        assert_eq!(asks(&scenarios_of(&workload)[1]), "grab, room stats");
    }
}
