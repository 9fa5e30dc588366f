//! Grabs by what became of them.

use coupon_measure::format;
use maud::{Markup, html};

use crate::Report;
use crate::html::marks::name;
use crate::html::table::{heads, scrolling};
use crate::model::{Contestant, Metric, Quantile};

/// A table of each contestant's outcomes, where its grabs had several.
pub(super) fn section(report: &Report) -> Markup {
    let rows: Vec<(&Contestant, &str)> = report
        .contestants
        .iter()
        .flat_map(|contestant| contestant.outcomes().into_iter().map(move |outcome| (contestant, outcome)))
        .collect();
    html! {
        @if !rows.is_empty() {
            h3 { "Grabs by outcome" }
            p.key {
                "What is refused is often answered sooner than what is granted, and a failed grab counts as the time-out: the chart of grabs \
                 is of those granted and failed. Milliseconds, the median over rounds with its interval."
            }
            (scrolling("Grabs by outcome", &html! {
                table.words {
                    thead { tr { (heads(["contestant", "outcome", "grabs", "p50", "p90", "p99"])) } }
                    tbody { @for (contestant, outcome) in &rows { (row(report, contestant, outcome)) } }
                }
            }))
        }
    }
}

fn row(report: &Report, contestant: &Contestant, outcome: &str) -> Markup {
    let grabs =
        contestant.rounds.iter().filter_map(|round| round.endpoints.get("grab")?.outcomes.get(outcome));
    let at = |quantile| {
        let found = contestant.summary(&Metric::latency(&format!("grab.{outcome}"), quantile));
        found.and_then(|of| of.estimate.as_ref()).map_or_else(|| "n/a".to_owned(), format::estimate)
    };
    html! {
        tr {
            th scope="row" { (name(report, &contestant.name)) }
            td { (outcome) }
            td { (format::count(grabs.map(|of| of.requests).sum())) }
            @for quantile in [Quantile::P50, Quantile::P90, Quantile::P99] { td { (at(quantile)) } }
        }
    }
}
