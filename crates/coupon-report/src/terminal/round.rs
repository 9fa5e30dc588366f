//! The figures of a single round in full: there is room for them where nothing is compared.

use std::io;

use coupon_measure::Table;
use coupon_measure::format::{count, list, number, percent, plain};

use super::contestant::{missing, reasons};
use super::text::Page;
use crate::endpoints;
use crate::model::{Contestant, Metric, Quantile, Reading, Report, Round, ScenarioRound};
use crate::summarise::{endpoints_of, scenarios_of};

pub(super) fn print(
    report: &Report,
    contestant: &Contestant,
    round: &Round,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let keys = endpoints_of([contestant]);
    outcomes(round, &keys, page)?;
    page.after("  load    ", &generator(round), 10)?;
    page.blank()?;
    page.wrapped("Milliseconds from the moment a request was due:", 2, 2)?;
    let mut table = Table::new(["", "requests", "errors", "shards", "p50", "p90", "p99", "p99.9", "max"]);
    table.extend(keys.iter().flat_map(|key| endpoint_rows(round, key)));
    page.table(&table)?;
    if round.endpoints.values().any(|endpoint| !endpoint.errors.is_empty()) {
        let why = "Here a request that failed counts as the time-out, however soon it was answered: a failure at once is not fast.";
        page.wrapped(why, 2, 2)?;
    }
    reasons(page, missing(contestant, &keys, &Quantile::ALL))?;
    let seconds = round.seconds.min(report.meta.seconds_per_round);
    let scenarios = scenarios_of(report);
    let scenarios = scenarios.iter().filter_map(|name| {
        let of = round.scenarios.get(name)?;
        Some(part(name, of, seconds))
    });
    let scenarios: Vec<Vec<String>> = scenarios.collect();
    if scenarios.len() > 1 {
        parts(page, "scenario", scenarios)?;
    }
    let phases = round
        .phases
        .iter()
        .map(|phase| part(&phase.name, &phase.requests, phase.until_s.min(seconds) - phase.from_s));
    parts(page, "part of the load", phases.collect())
}

/// The answers that were not as wished, by reason.
fn outcomes(round: &Round, keys: &[String], page: &mut Page<'_>) -> io::Result<()> {
    let counted = |(what, number): (&String, &u64)| format!("{} {}", count(*number), what.replace('_', " "));
    let refused: Vec<String> = round.grabs.refused.iter().map(counted).collect();
    if !refused.is_empty() {
        page.after("  refused ", &refused.join(", "), 10)?;
    }
    if round.grabs.unknown > 0 {
        let unclear = format!("{} grabs whose outcome is not known", count(round.grabs.unknown));
        page.after("  unclear ", &unclear, 10)?;
    }
    let failed: Vec<String> = keys
        .iter()
        .filter_map(|key| Some((key, round.endpoints.get(key)?)))
        .filter(|(_, of)| !of.errors.is_empty())
        .map(|(key, of)| {
            let kinds: Vec<String> =
                of.errors.iter().map(|(kind, number)| format!("{kind} × {}", count(*number))).collect();
            format!("{}: {}", endpoints::name(key), list(&kinds))
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { page.after("  errors  ", &failed.join("; "), 10) }
}

/// The answers a second, and what the generator did for them.
fn generator(round: &Round) -> String {
    let generator = &round.generator;
    let answers: u64 = round.endpoints.values().map(|endpoint| endpoint.ok).sum();
    let mut told = vec![format!("{} answers a second", number(answers as f64 / round.seconds.max(1e-9)))];
    told.push(match (&generator.cpu_seconds, generator.sent) {
        (Reading::Known(cpu), sent) if sent > 0 => format!(
            "generator: {} µs CPU a request, {} of a core",
            number(cpu * 1e6 / sent as f64),
            percent(cpu / round.seconds.max(1e-9))
        ),
        (Reading::Known(_), _) => "generator: nothing was sent".to_owned(),
        (Reading::Unknown(why), _) => format!("generator: CPU n/a: {why}"),
    });
    told.push(generator.lateness_p99_ms.show(|late| format!("1 % sent at least {} ms late", number(*late))));
    if generator.reconnects > 0 {
        told.push(format!("{} connections opened again", count(generator.reconnects)));
    }
    told.join("; ")
}

fn endpoint(round: &Round, key: &str) -> Vec<String> {
    let Some(found) = round.endpoints.get(key) else { return vec![endpoints::name(key).to_owned()] };
    let shown = |metric: &Metric| metric.read(round).value().map_or_else(|| "n/a".to_owned(), number);
    let mut row = vec![
        endpoints::name(key).to_owned(),
        count(found.requests),
        count(found.errors.values().sum()),
        found.shards_visited.value().map_or_else(|| "–".to_owned(), plain),
    ];
    row.extend(Quantile::ALL.map(|quantile| shown(&Metric::latency(key, quantile))));
    row.push(shown(&Metric::Slowest { endpoint: key.to_owned() }));
    row
}

/// An endpoint, and below the grabs those of each outcome, where there were several.
fn endpoint_rows(round: &Round, key: &str) -> Vec<Vec<String>> {
    let mut rows = vec![endpoint(round, key)];
    let outcomes = round.endpoints.get(key).into_iter().flat_map(|found| &found.outcomes);
    let some: Vec<_> = outcomes.filter(|(_, of)| of.requests > 0).collect();
    if some.len() > 1 {
        rows.extend(some.into_iter().map(|(name, of)| {
            let at = |quantile: &Quantile| {
                quantile.of(of.requests, &of.latency).value().map_or_else(|| "n/a".to_owned(), number)
            };
            let mut row = vec![format!("… {name}"), count(of.requests), String::new(), String::new()];
            row.extend(Quantile::ALL.iter().map(at));
            row.push(of.latency.known().map_or_else(|| "n/a".to_owned(), |latency| number(latency.max)));
            row
        }));
    }
    rows
}

fn parts(page: &mut Page<'_>, what: &str, parts: Vec<Vec<String>>) -> io::Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([what, "due/s", "requests", "errors", "p50", "p90", "p99", "max"]);
    table.extend(parts);
    page.blank()?;
    page.table(&table)
}

/// Requests that have something in common, which were due in so many seconds.
fn part(name: &str, of: &ScenarioRound, seconds: f64) -> Vec<String> {
    let shown = |figure: Option<f64>| figure.map_or_else(|| "n/a".to_owned(), number);
    let at = |quantile: Quantile| shown(quantile.of(of.timed, &of.latency).value());
    vec![
        name.to_owned(),
        number(of.requests as f64 / seconds.max(1e-3)),
        count(of.requests),
        count(of.requests - of.ok),
        at(Quantile::P50),
        at(Quantile::P90),
        at(Quantile::P99),
        shown(of.latency.known().map(|latency| latency.max)),
    ]
}
