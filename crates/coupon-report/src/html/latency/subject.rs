//! The requests that a chart is about.

use coupon_measure::format::{self, percent};

use crate::Report;
use crate::endpoints;
use crate::model::{Metric, Quantile, Round};

/// Those that ask for one thing, or those that one kind of user makes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The requests to an endpoint, by its key.
    Endpoint(&'a str),
    /// The requests of a scenario, by its name.
    Scenario(&'a str),
}

impl<'a> Subject<'a> {
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Endpoint(key) => endpoints::name(key),
            Self::Scenario(name) => name,
        }
    }

    pub(super) fn metric(self, quantile: Quantile) -> Metric {
        match self {
            Self::Endpoint(key) => Metric::latency(key, quantile),
            Self::Scenario(name) => Metric::scenario(name, quantile),
        }
    }

    /// A round's curve: percentile and milliseconds. None if the round had no such request.
    pub(super) fn points(self, round: &Round, percentiles: &[f64]) -> Option<Vec<(f64, f64)>> {
        let curve_ms = match self {
            Self::Endpoint(key) => &round.endpoints.get(key)?.curve_ms,
            Self::Scenario(name) => &round.scenarios.get(name)?.curve_ms,
        };
        Some(percentiles.iter().copied().zip(curve_ms.iter().copied()).collect())
    }

    /// Their part of all requests: of an endpoint by the scenarios that ask it, of a scenario by its actions.
    pub(super) fn part(self, report: &Report) -> String {
        match self {
            Self::Endpoint(key) => asked_by(report, key),
            Self::Scenario(name) => asks(report, name),
        }
    }
}

fn asked_by(report: &Report, key: &str) -> String {
    let parts: Vec<(&str, f64)> = report
        .meta
        .mix
        .iter()
        .filter_map(|part| Some((part.scenario.as_str(), *part.endpoints.get(key)?)))
        .collect();
    if parts.is_empty() {
        return "ms".into();
    }
    let all = percent(parts.iter().map(|(_, share)| share).sum());
    match parts.as_slice() {
        [(scenario, _)] => format!("{all} of all requests, from scenario {scenario}"),
        _ => {
            let shown: Vec<String> = parts
                .iter()
                .map(|(scenario, share)| format!("{} from {scenario}", percent(*share)))
                .collect();
            format!("{all} of all requests: {}", format::list(&shown))
        }
    }
}

fn asks(report: &Report, name: &str) -> String {
    let Some(part) = report.meta.mix.iter().find(|part| part.scenario == name) else { return "ms".into() };
    let all: f64 = part.endpoints.values().sum();
    if all <= 0.0 {
        return "ms".into();
    }
    let mut asked: Vec<(&String, f64)> = part.endpoints.iter().map(|(key, share)| (key, *share)).collect();
    asked.sort_by(|one, two| two.1.total_cmp(&one.1));
    let asked: Vec<String> = asked
        .into_iter()
        .map(|(key, share)| format!("{} {}", endpoints::name(key), percent(share / all)))
        .collect();
    format!("{} of all requests: {}", percent(all), format::list(&asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Meta, MixPart};

    #[test]
    fn a_scenario_tells_what_it_asks_and_an_endpoint_who_asks_it() {
        let part = |scenario: &str, endpoints: &[(&str, f64)]| MixPart {
            scenario: scenario.into(),
            endpoints: endpoints.iter().map(|(key, share)| ((*key).to_owned(), *share)).collect(),
            ..MixPart::default()
        };
        let mix = vec![part("normal", &[("stock", 0.1), ("grab", 0.3)]), part("hot", &[("grab", 0.6)])];
        let report = Report::new(Meta { mix, ..Meta::default() }, Vec::new());
        assert_eq!(
            Subject::Scenario("normal").part(&report),
            "40 % of all requests: grab 75 % and stock 25 %"
        );
        assert_eq!(
            Subject::Endpoint("grab").part(&report),
            "90 % of all requests: 30 % from normal and 60 % from hot"
        );
        assert_eq!(Subject::Endpoint("stock").part(&report), "10 % of all requests, from scenario normal");
        assert_eq!(Subject::Scenario("unheard of").part(&report), "ms");
    }
}
