//! One contestant's figures.

use std::io;

use coupon_measure::Table;
use coupon_measure::format::{self, count, number, percent};
use coupon_measure::stats::estimate;

use super::text::Page;
use super::{growth, round};
use crate::model::{AuditResult, Contestant, Metric, Quantile, Reading};
use crate::summarise::{endpoints_of, median_shares};
use crate::{Report, by_shard, endpoints};

/// The most shards that are listed one by one.
const MOST_SHARDS: usize = 8;
/// The columns of the table of endpoints.
const COLUMNS: [&str; 6] = ["endpoint", "p50 ms", "p99 ms", "shards", "tables", "errors"];

pub(super) fn print(report: &Report, contestant: &Contestant, page: &mut Page<'_>) -> io::Result<()> {
    page.blank()?;
    page.bold(&contestant.name)?;
    if let Some(description) = description(contestant) {
        page.wrapped(&description, 2, 4)?;
    }
    let keys = endpoints_of([contestant]);
    if keys.iter().any(|key| key == "grab") {
        page.after("  grabs   ", &grabs(contestant), 10)?;
    }
    if contestant.most_shards() > 0 {
        page.after("  writes  ", &writes(contestant), 10)?;
    }
    if by_shard::has_queues(contestant) {
        page.after("  stored  ", &stored(contestant), 10)?;
    }
    if !report.meta.unaudited {
        page.after("  audit   ", &audit(contestant), 10)?;
    }
    growth::print(contestant, page)?;
    if by_shard::has_queues(contestant) && contestant.measured_shards() <= MOST_SHARDS {
        shards(report, contestant, page)?;
    }
    if let ([_], [round]) = (report.contestants.as_slice(), contestant.rounds.as_slice()) {
        return round::print(report, contestant, round, page);
    }
    let mut table = Table::new(COLUMNS);
    for key in &keys {
        table.row(row(contestant, key));
        if key == "grab" {
            table.extend(contestant.outcomes().into_iter().map(|outcome| outcome_row(contestant, outcome)));
        }
    }
    page.table(&table)?;
    let outcomes = contestant.outcomes().into_iter().map(|outcome| format!("grab.{outcome}"));
    let keys: Vec<String> = keys.iter().cloned().chain(outcomes).collect();
    reasons(page, missing(contestant, &keys, &[Quantile::P50, Quantile::P99]))
}

/// The contestant's service and layout, and the number of its rounds.
fn description(contestant: &Contestant) -> Option<String> {
    let known = [&contestant.service, &contestant.layout].into_iter().filter(|text| !text.is_empty());
    let mut known: Vec<String> = known.cloned().collect();
    known.extend(contestant.cure_of.as_ref().map(|of| format!("to cure {of}")));
    known.extend(contestant.baseline.clone());
    let rounds = format::counted(contestant.rounds.len() as u64, "round");
    (!known.is_empty()).then(|| format!("{}; {rounds}", known.join(", ")))
}

/// The reasons why figures of a table are missing.
pub(super) fn reasons(page: &mut Page<'_>, mut reasons: Vec<&str>) -> io::Result<()> {
    reasons.sort_unstable();
    reasons.dedup();
    if reasons.is_empty() { Ok(()) } else { page.wrapped(&format!("n/a: {}", reasons.join("; ")), 2, 4) }
}

/// The way from acknowledgement to storage.
fn stored(contestant: &Contestant) -> String {
    let of = |figure, show| by_shard::of_rounds(contestant, figure, show).show(String::clone);
    let rate = match contestant.summary(&Metric::Stored) {
        Some(summary) => match &summary.estimate {
            Some(stored) => format!("{} rows stored a second", format::estimate(stored)),
            None => format!("rows stored a second n/a: {}", summary.reason.as_deref().unwrap_or("unknown")),
        },
        None => "n/a: not summarised".into(),
    };
    let waiting = of(|round| Some(&round.flow.as_ref()?.backlog), format::plain);
    let took = of(|round| Some(&round.flow.as_ref()?.drain_seconds), number);
    format!("{rate}; waiting when the load ended: {waiting}; seconds until they were stored: {took}")
}

/// Each shard's work and queue.
fn shards(report: &Report, contestant: &Contestant, page: &mut Page<'_>) -> io::Result<()> {
    let columns = by_shard::columns(report);
    let titles = std::iter::once("shard").chain(columns.iter().map(|column| column.title));
    let mut table = Table::new(titles);
    let mut missing = Vec::new();
    for shard in 0..contestant.measured_shards() {
        let mut row = vec![shard.to_string()];
        for column in &columns {
            match column.of(contestant, shard) {
                Reading::Known(text) => row.push(text),
                Reading::Unknown(why) => {
                    row.push("n/a".into());
                    missing.push(format!("{}: {why}", column.title));
                }
            }
        }
        table.row(row);
    }
    page.table(&table)?;
    reasons(page, missing.iter().map(String::as_str).collect())
}

/// The reasons why latencies of the table are missing.
pub(super) fn missing<'a>(
    contestant: &'a Contestant,
    keys: &[String],
    quantiles: &[Quantile],
) -> Vec<&'a str> {
    let metrics =
        keys.iter().flat_map(|key| quantiles.iter().map(|quantile| Metric::latency(key, *quantile)));
    let summaries = metrics.filter_map(|metric| contestant.summary(&metric));
    summaries.filter(|s| s.estimate.is_none()).filter_map(|s| s.reason.as_deref()).collect()
}

fn latency(contestant: &Contestant, key: &str, quantile: Quantile) -> String {
    let found = contestant.summary(&Metric::latency(key, quantile)).and_then(|s| s.estimate.as_ref());
    found.map_or_else(|| "n/a".into(), format::estimate)
}

/// The grabs of one outcome.
fn outcome_row(contestant: &Contestant, outcome: &str) -> Vec<String> {
    let at = |quantile| latency(contestant, &format!("grab.{outcome}"), quantile);
    let mut row = vec![format!("… {outcome}"), at(Quantile::P50), at(Quantile::P99)];
    row.resize(COLUMNS.len(), String::new());
    row
}

fn row(contestant: &Contestant, key: &str) -> Vec<String> {
    let latency = |quantile| latency(contestant, key, quantile);
    let visited = |metric: &Metric| contestant.median(metric).map_or_else(|| "–".into(), format::plain);
    let errors: u64 =
        contestant.rounds.iter().filter_map(|r| r.endpoints.get(key)).flat_map(|e| e.errors.values()).sum();
    vec![
        endpoints::name(key).to_owned(),
        latency(Quantile::P50),
        latency(Quantile::P99),
        visited(&Metric::shards(key)),
        visited(&Metric::tables(key)),
        count(errors),
    ]
}

fn grabs(contestant: &Contestant) -> String {
    let summary = contestant.summary(&Metric::Granted);
    let offered: Vec<f64> = contestant.rounds.iter().map(|round| round.grabs.offered_per_s).collect();
    let offered = estimate(&offered).map(|offered| format!(" of {}/s offered", number(offered.median)));
    match summary.map(|summary| (&summary.estimate, summary.reason.as_deref())) {
        Some((Some(granted), reason)) => {
            let granted = format::estimate(granted);
            let left_out = reason.map(|reason| format!("; {reason}")).unwrap_or_default();
            format!("{granted} granted a second{}{left_out}", offered.unwrap_or_default())
        }
        Some((None, reason)) => format!("n/a: {}", reason.unwrap_or("no round was run")),
        None => "n/a: not summarised".into(),
    }
}

fn writes(contestant: &Contestant) -> String {
    let effective = |metric: &Metric| match contestant.summary(metric) {
        Some(summary) => match &summary.estimate {
            Some(estimate) => format::plain(estimate.median),
            None => format!("n/a: {}", summary.reason.as_deref().unwrap_or("unknown")),
        },
        None => "n/a: not summarised".into(),
    };
    let of = contestant.most_shards();
    if of < 2 {
        return "one shard takes them all".into();
    }
    let (rows, cpu) = (effective(&Metric::EffectiveShards), effective(&Metric::EffectiveShardsByCpu));
    format!("{}; effective shards {rows} of {of} (by CPU time {cpu})", shares(contestant))
}

/// Each shard's part of the writes: the median over rounds.
fn shares(contestant: &Contestant) -> String {
    let shares = median_shares(contestant);
    let known: Option<Vec<f64>> = shares.iter().copied().collect();
    match known {
        None => "share by shard n/a: some shard could not be read".into(),
        Some(shares) if shares.is_empty() => "share by shard n/a: no shard was read".into(),
        Some(shares) if shares.len() > MOST_SHARDS => {
            let most = shares.iter().copied().fold(0.0, f64::max);
            let least = shares.iter().copied().fold(1.0, f64::min);
            format!("{} shards take from {} to {}", shares.len(), percent(least), percent(most))
        }
        Some(shares) => {
            let listed: Vec<String> = shares.iter().map(|share| percent(*share)).collect();
            format!("by shard {}", listed.join(" | "))
        }
    }
}

fn audit(contestant: &Contestant) -> String {
    let mut sum = AuditResult::default();
    let mut missing = None;
    for round in &contestant.rounds {
        match round.audit.known() {
            Some(audit) => sum.add(audit),
            None => missing = missing.or(round.audit.reason()),
        }
    }
    let found: Vec<String> =
        sum.violations().iter().map(|(name, _, violation)| violation.sentence(name)).collect();
    let verdict = if sum.passed() { "ok" } else { "FAILED" };
    let missing =
        missing.map(|reason| format!("; not every round was audited: {reason}")).unwrap_or_default();
    format!("{verdict}: {} acknowledged; {}{missing}", count(sum.acknowledged), found.join(", "))
}
