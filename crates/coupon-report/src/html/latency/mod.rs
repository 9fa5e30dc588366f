//! Latency as curves over percentiles: how long the slowest one in two, in ten, in a hundred takes.

mod chart;
mod outcomes;
mod subject;

use maud::{Markup, html};

use self::chart::chart;
use self::subject::Subject;
use super::marks::legend;
use super::shapes;
use crate::Report;
use crate::model::Quantile;
use crate::summarise::{endpoints_of, scenarios_of};

/// A chart for each scenario, and one for each endpoint.
pub(super) fn section(report: &Report) -> Markup {
    let scenarios = scenarios_of(report);
    html! {
        section id="latency" {
            h2 { "Latency" }
            p.key {
                "From the moment a request was due to its answer, so that a stall is not hidden. Each curve is the median over \
                 rounds of that percentile; the bars at p50 and p99 are the intervals of these medians. To the right \
                 the rarer, slower requests: each nine takes as much room as the one before. Milliseconds, \
                 logarithmic; each chart has its own scale, and lower is better. A curve ends where its rounds had too few \
                 requests for one of them to be slower: a p99 takes " (Quantile::P99.least_requests()) " a round."
            }
            (legend(report))
            @if !scenarios.is_empty() {
                h3 { "By scenario" }
                p.key { "All that one kind of user asks, taken together: what these users wait for." }
                div.panels { @for (at, name) in scenarios.iter().enumerate() {
                    (chart(report, Subject::Scenario(name), &format!("scenario-{at}")))
                } }
                h3 { "By endpoint" }
            }
            div.panels { @for (at, key) in endpoints_of(&report.contestants).iter().enumerate() {
                (chart(report, Subject::Endpoint(key), &format!("endpoint-{at}")))
            } }
            (outcomes::section(report))
            (shapes::section(report))
        }
    }
}
