//! What came of each kind of request, over the last seconds of a load.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::format;
use crate::load::{EndpointOutcome, Progress};
use crate::report::endpoints;
use crate::report::model::{EndpointRound, Metric, Quantile, Round};
use crate::workload::{Endpoint, Requests, Workload};

/// How far back the figures of a load that goes on reach: long enough for a percentile, short enough to see a change.
pub(super) const WINDOW: Duration = Duration::from_secs(5);

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Kind {
    /// What people call it.
    pub(super) name: String,
    /// The scenarios that ask it.
    pub(super) asked_by: String,
    pub(super) per_s: f64,
    /// None with too few requests for it.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Failed requests, since the load began.
    pub(super) errors: u64,
}

/// What had come of a load at a moment.
#[derive(Debug)]
struct Tick {
    at: Duration,
    endpoints: BTreeMap<Endpoint, EndpointOutcome>,
}

/// The last moments of a load.
#[derive(Debug, Default)]
pub(super) struct Ticks(VecDeque<Tick>);

impl Ticks {
    /// Takes one in, and forgets those that no window reaches any more.
    pub(super) fn take(&mut self, progress: &Progress<'_>) {
        let endpoints = progress.endpoints().map(|(endpoint, outcome)| (endpoint, outcome.clone()));
        self.0.push_back(Tick { at: progress.elapsed, endpoints: endpoints.collect() });
        let oldest = progress.elapsed.saturating_sub(WINDOW);
        // The last one before the window is where it begins.
        while self.0.get(1).is_some_and(|second| second.at <= oldest) {
            self.0.pop_front();
        }
    }

    /// Every kind of request that was asked, over the window.
    pub(super) fn kinds(&self, workload: &Workload) -> Vec<Kind> {
        let Some(last) = self.0.back() else { return Vec::new() };
        let first = self.0.front().filter(|first| self.0.len() > 1 && first.at + WINDOW <= last.at);
        let seconds = last.at.saturating_sub(first.map_or(Duration::ZERO, |first| first.at)).as_secs_f64();
        let kind = |(endpoint, now): (&Endpoint, &EndpointOutcome)| {
            let before = first.and_then(|first| first.endpoints.get(endpoint));
            let latency = since(&now.latency, before.map(|before| &before.latency));
            let requests = now.requests() - before.map_or(0, EndpointOutcome::requests);
            let ms = |quantile: Quantile, at: f64| {
                (latency.len() >= quantile.least_requests())
                    .then(|| latency.value_at_quantile(at) as f64 / 1e3)
            };
            Kind {
                name: endpoints::name(endpoint.name()).to_owned(),
                asked_by: asked_by(workload, *endpoint),
                per_s: if seconds > 0.0 { requests as f64 / seconds } else { 0.0 },
                p50_ms: ms(Quantile::P50, 0.5),
                p99_ms: ms(Quantile::P99, 0.99),
                errors: now.error_count(),
            }
        };
        last.endpoints.iter().map(kind).collect()
    }
}

/// What was recorded since.
fn since(now: &Histogram<u64>, before: Option<&Histogram<u64>>) -> Histogram<u64> {
    let mut recorded = now.clone();
    if let Some(before) = before {
        // What was recorded before is in it still, so this cannot fail; if it did, the whole is a figure as well.
        let _ = recorded.subtract(before);
    }
    recorded
}

/// Every kind of request over a whole round, as its report has it.
pub(super) fn of_round(round: &Round, workload: &Workload) -> Vec<Kind> {
    let of = |(key, figures): (&String, &EndpointRound)| {
        let ms = |quantile| Metric::latency(key, quantile).read(round).value();
        let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == key);
        let kind = Kind {
            name: endpoints::name(key).to_owned(),
            asked_by: endpoint.map(|endpoint| asked_by(workload, endpoint)).unwrap_or_default(),
            per_s: figures.requests as f64 / round.seconds.max(f64::MIN_POSITIVE),
            p50_ms: ms(Quantile::P50),
            p99_ms: ms(Quantile::P99),
            errors: figures.errors.values().sum(),
        };
        (endpoint, kind)
    };
    let mut kinds: Vec<(Option<Endpoint>, Kind)> = round.endpoints.iter().map(of).collect();
    kinds.sort_by_key(|(endpoint, _)| *endpoint);
    kinds.into_iter().map(|(_, kind)| kind).collect()
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

fn asked_by(workload: &Workload, endpoint: Endpoint) -> String {
    let Requests::Scenarios(scenarios) = &workload.requests else { return String::new() };
    let asks = scenarios.iter().filter(|scenario| {
        scenario.users > 0.0 && scenario.actions.iter().any(|action| action.endpoint == endpoint)
    });
    asks.map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load that has answered so many grabs, each after so many microseconds.
    fn tick(at: u64, grabs: &[u64]) -> Tick {
        let mut latency = Histogram::new(3).unwrap();
        grabs.iter().for_each(|micros| latency.record(*micros).unwrap());
        let outcome = EndpointOutcome {
            latency,
            ok: grabs.len() as u64,
            errors: BTreeMap::new(),
            shards_visited: 0,
            tables_visited: 0,
            planned: 0,
        };
        Tick { at: Duration::from_secs(at), endpoints: [(Endpoint::Grab, outcome)].into() }
    }

    #[test]
    fn what_lies_before_the_window_counts_no_longer() {
        let early = vec![1_000; 500];
        let late = [early.clone(), vec![9_000; 50]].concat();
        let ticks = Ticks([tick(5, &early), tick(10, &late)].into());
        let kinds = ticks.kinds(&Workload::default());
        assert_eq!((kinds.len(), kinds[0].name.as_str(), kinds[0].per_s), (1, "grab", 10.0));
        assert!((kinds[0].p50_ms.unwrap() - 9.0).abs() < 0.01, "{kinds:?}");
        assert_eq!(kinds[0].p99_ms, None, "of 50 requests there is no 99th percentile");
    }

    #[test]
    fn a_load_that_has_just_begun_counts_from_its_start() {
        let ticks = Ticks([tick(1, &[1_000; 100]), tick(2, &[1_000; 200])].into());
        let kinds = ticks.kinds(&Workload::default());
        assert_eq!(kinds[0].per_s, 100.0);
        assert!(kinds[0].p99_ms.is_some());
        assert!(Ticks::default().kinds(&Workload::default()).is_empty());
    }

    #[test]
    fn errors_are_summed_by_kind() {
        let one = BTreeMap::from([("503".to_owned(), 1_000), ("time-out".to_owned(), 2)]);
        let other = BTreeMap::from([("503".to_owned(), 5)]);
        assert_eq!(failed([&one, &other].into_iter()), "1,005 × 503, 2 × time-out");
        assert_eq!(failed(std::iter::empty()), "");
    }

    #[test]
    fn a_request_names_the_scenarios_that_ask_it() {
        let workload = Workload::default();
        assert_eq!(asked_by(&workload, Endpoint::Grab), "normal, hot room");
        assert_eq!(asked_by(&workload, Endpoint::Recent), "cross-shard");
        assert_eq!(asked_by(&workload, Endpoint::Echo), "");
    }
}
