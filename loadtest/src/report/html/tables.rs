//! Fan-out and audit.

use maud::{Markup, html};

use super::name;
use crate::format::{count, plain};
use crate::report::Report;
use crate::report::endpoints;
use crate::report::model::{AuditResult, Contestant, Metric};
use crate::report::summarise::endpoints_of;

/// Shards and tables that a query visits.
pub(super) fn fan_out(report: &Report) -> Markup {
    let visits = |contestant: &Contestant, key: &str| contestant.median(&Metric::shards(key));
    let keys: Vec<String> = endpoints_of(&report.contestants)
        .into_iter()
        .filter(|key| report.contestants.iter().any(|contestant| visits(contestant, key).is_some()))
        .collect();
    html! {
        section id="fan-out" {
            h2 { "Fan-out" }
            p.key { "Shards / tables that one query visits, on average, as the answers themselves say." }
            @if keys.is_empty() { p { "n/a: no answer named its plan" } } @else {
                div.scroll tabindex="0" role="region" aria-label="Fan-out by endpoint" {
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
                        }
                    }
                }
            }
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

/// Every promise, held against what was stored.
pub(super) fn audit(report: &Report) -> Markup {
    let audited = |contestant: &Contestant| {
        let mut sum = AuditResult::default();
        contestant.rounds.iter().filter_map(|round| round.audit.known()).for_each(|audit| sum.add(audit));
        sum
    };
    let sums = &report.audit.sums;
    html! {
        section id="audit" {
            h2 { "Audit" }
            p.key { "Once everything had drained, what clients were told was held against what the shards hold. "
                "All columns after “stored” must be 0. An unclear grab may be stored or not: both are right." }
            div.scroll tabindex="0" role="region" aria-label="Audit by contestant" {
                table {
                    thead { tr {
                        @for column in ["contestant", "acknowledged", "refused", "unclear", "stored"] { th scope="col" { (column) } }
                        @for (kind, meaning, _) in sums.violations() { th scope="col" title=(meaning) { (kind) } }
                    } }
                    tbody {
                        @for contestant in &report.contestants {
                            (audit_row(&html! { (name(report, &contestant.name)) }, &audited(contestant)))
                        }
                        (audit_row(&html! { "all" }, sums))
                    }
                }
            }
            @for (kind, meaning, violation) in sums.violations().iter().filter(|(_, _, found)| found.count > 0) {
                p.bad { strong { (kind) } " (" (meaning) "), for example: " (violation.examples.join("; ")) }
            }
            @for (kind, why) in sums.violations().iter().filter_map(|(kind, _, v)| Some((kind, v.not_checked.as_ref()?))) {
                p.soft { "* " (kind) ", in part n/a: " (why) }
            }
            @if !report.audit.rounds_not_audited.is_empty() {
                p.bad { "Not audited:" }
                ul { @for missing in &report.audit.rounds_not_audited { li { (missing) } } }
            }
        }
    }
}

fn audit_row(title: &Markup, audit: &AuditResult) -> Markup {
    html! {
        tr {
            th scope="row" { (title) }
            @for figure in [audit.acknowledged, audit.refused, audit.unknown, audit.stored] { td { (count(figure)) } }
            @for (_, _, violation) in audit.violations() {
                td class=(if violation.count > 0 { "bad" } else { "" }) { (count(violation.count)) @if violation.not_checked.is_some() { " *" } }
            }
        }
    }
}
