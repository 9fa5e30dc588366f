//! Fan-out, and what it costs to visit several shards.

use coupon_measure::format::{self, number, plain};
use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, scrolling};
use crate::Report;
use crate::endpoints;
use crate::model::{Call, Contestant, Metric, Quantile};
use crate::summarise::{candidates, endpoints_of, inverse};

/// Shards and tables that a query visits.
pub(super) fn section(report: &Report) -> Markup {
    let visits = |contestant: &Contestant, key: &str| contestant.median(&Metric::shards(key));
    let keys: Vec<String> = endpoints_of(&report.contestants)
        .into_iter()
        .filter(|key| report.contestants.iter().any(|contestant| visits(contestant, key).is_some()))
        .collect();
    html! {
        section id="fan-out" {
            h2 { "Fan-out, and what a scatter costs" }
            p.key {
                "Shards / tables that one query visits, on average, as the answers themselves say. A query that visits several \
                 shards asks them at the same time and waits for the slowest, and each of them works for it."
            }
            @if keys.is_empty() { p { "n/a: no answer named its plan" } } @else {
                (scrolling("Fan-out by endpoint", &html! {
                    table {
                        thead { tr {
                            th scope="col" { "endpoint" }
                            @for contestant in &report.contestants { th scope="col" { (name(report, &contestant.name)) } }
                        } }
                        tbody {
                            @for key in &keys {
                                tr {
                                    th scope="row" { (endpoints::name(key)) }
                                    @for contestant in &report.contestants { (visited(contestant, key)) }
                                }
                            }
                            (calls(report, &keys))
                        }
                    }
                }))
            }
            (cost(report, &keys))
        }
    }
}

fn visited(contestant: &Contestant, key: &str) -> Markup {
    match (contestant.median(&Metric::shards(key)), contestant.median(&Metric::tables(key))) {
        (Some(shards), Some(tables)) => html! { td { (plain(shards)) " / " (plain(tables)) } },
        _ => {
            let summary = contestant.summary(&Metric::shards(key));
            let reason = summary.and_then(|summary| summary.reason.as_deref()).unwrap_or("not asked");
            html! { td.na { "n/a: " (reason) } }
        }
    }
}

/// Calls to shards that a thousand of the workload's reads make: what the shards work for, whatever the latency.
fn calls(report: &Report, keys: &[String]) -> Markup {
    html! {
        tr {
            th scope="row" { "calls to shards for 1,000 of these reads" }
            @for contestant in &report.contestants {
                @match calls_of(contestant, keys) {
                    Some(calls) => td { (number(1_000.0 * calls)) },
                    None => td.na { "n/a: not every answer named its plan" },
                }
            }
        }
    }
}

/// Shards visited by a read, each kind as often as it was asked.
fn calls_of(contestant: &Contestant, keys: &[String]) -> Option<f64> {
    let (mut sum, mut reads) = (0.0, 0.0);
    for key in keys {
        let asked = contestant.rounds.iter().filter_map(|round| round.endpoints.get(key));
        let requests: u64 = asked.map(|endpoint| endpoint.requests).sum();
        sum += contestant.median(&Metric::shards(key))? * requests as f64;
        reads += requests as f64;
    }
    (reads > 0.0).then(|| sum / reads)
}

/// One read, answered by the contestant that visits the fewest shards and by the one that visits the most.
struct Cost<'a> {
    key: &'a str,
    few: &'a Contestant,
    many: &'a Contestant,
}

fn cost(report: &Report, keys: &[String]) -> Markup {
    let costs: Vec<Cost<'_>> = keys.iter().filter_map(|key| widest(report, key)).collect();
    html! {
        h3 { "What a scatter costs here" }
        @if costs.is_empty() {
            p { "n/a: no read visits more shards with one plain contestant than with another." }
        } @else {
            p.key {
                "The same read, by the plain contestant that visits fewest shards and by the one that visits most: median latency, \
                 and the ratio within rounds. Other differences between the two are in it as well"
                @if report.meta.shard_rtt_ms > 0.0 { "." } @else {
                    "; without a network between service and shards (--shard-rtt) a scatter looks cheaper than it would be."
                }
            }
            (scrolling("What a scatter costs", &html! {
                table {
                    thead { tr {
                        (heads(["read", "fewest shards", "p50, ms", "most shards", "p50, ms", "most ÷ fewest"]))
                    } }
                    tbody { @for cost in &costs { (cost_row(report, cost)) } }
                }
            }))
        }
    }
}

fn widest<'a>(report: &'a Report, key: &'a str) -> Option<Cost<'a>> {
    let visits = |contestant: &Contestant| contestant.median(&Metric::shards(key));
    let mut known: Vec<(&Contestant, f64)> = candidates(report)
        .into_iter()
        .filter_map(|contestant| Some((contestant, visits(contestant)?)))
        .collect();
    known.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let (few, many) = (known.first()?, known.last()?);
    (many.1 > few.1 + 0.5).then_some(Cost { key, few: few.0, many: many.0 })
}

fn cost_row(report: &Report, cost: &Cost<'_>) -> Markup {
    let metric = Metric::latency(cost.key, Quantile::P50);
    let p50 = |of: &Contestant| {
        let estimate = of.summary(&metric).and_then(|summary| summary.estimate.as_ref());
        estimate.map_or_else(|| "n/a".to_owned(), format::estimate)
    };
    let visits =
        |of: &Contestant| of.median(&Metric::shards(cost.key)).map_or_else(|| "n/a".to_owned(), plain);
    let verdict = report.verdict(&metric, &cost.many.name, &cost.few.name);
    let ratio =
        match verdict.map(|verdict| (verdict.call, verdict.ratio.as_ref(), verdict.a == cost.many.name)) {
            Some((Call::TooFewRounds, ..)) | None => "n/a: too few rounds".to_owned(),
            Some((call, Some(ratio), of_many)) => {
                let ratio = if of_many { ratio.clone() } else { inverse(ratio) };
                let undecided = if call == Call::NoDifference { ", no difference" } else { "" };
                format!("{}{undecided}", format::ratio(&ratio))
            }
            Some((_, None, _)) => "n/a".to_owned(),
        };
    html! {
        tr {
            th scope="row" { (endpoints::name(cost.key)) }
            @for of in [cost.few, cost.many] {
                td { (name(report, &of.name)) ": " (visits(of)) }
                td { (p50(of)) }
            }
            td { (ratio) }
        }
    }
}
