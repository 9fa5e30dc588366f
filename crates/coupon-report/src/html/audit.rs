//! The audit.

use coupon_measure::format::count;
use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, scrolling};
use crate::Report;
use crate::model::{AuditResult, Contestant};

/// Every promise, held against what was stored.
pub(super) fn section(report: &Report) -> Markup {
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
            (scrolling("Audit by contestant", &html! {
                table {
                    thead { tr {
                        (heads(["contestant", "acknowledged", "refused", "unclear", "stored"]))
                        @for (kind, meaning, _) in sums.violations() { th scope="col" title=(meaning) { (kind) } }
                    } }
                    tbody {
                        @for contestant in &report.contestants {
                            (audit_row(&html! { (name(report, &contestant.name)) }, &audited(contestant)))
                        }
                        (audit_row(&html! { "all" }, sums))
                    }
                }
            }))
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
