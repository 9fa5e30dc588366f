//! The first screen: which, for which need, and how sure.

use maud::{Markup, html};

use super::name;
use crate::report::Report;
use crate::report::model::{Advice, Topic};

/// Needs with what to choose for them, whether shards are needed at all, and what to keep in mind.
pub(super) fn which(report: &Report) -> Markup {
    let needs: Vec<&Advice> = report.advice.iter().filter(|a| matches!(a.topic, Topic::Need(_))).collect();
    let baseline = report.advice.iter().filter(|advice| advice.topic == Topic::Baseline);
    html! {
        section.first id="which" {
            h2 { "Which, for your workload" }
            @if !report.audit.passed {
                p.bad { strong { "The audit did not pass: " a href="#audit" { "see why" } " before you choose by anything here." } }
            }
            @if needs.is_empty() { p { "There are not two contestants to choose between." } }
            ul.needs {
                @for advice in needs.into_iter().chain(baseline) {
                    li {
                        h3 { (advice.heading) }
                        (choice(report, advice))
                        div.why { (advice.text) }
                        div.sure.soft { (advice.certainty) }
                    }
                }
            }
            (keep_in_mind(report))
        }
    }
}

fn choice(report: &Report, advice: &Advice) -> Markup {
    html! {
        @if advice.choice.is_empty() {
            div.choice.none { "nothing to choose by" }
        } @else {
            div.choice {
                @for (at, chosen) in advice.choice.iter().enumerate() {
                    @if at > 0 { " or " }
                    (name(report, chosen))
                }
            }
        }
    }
}

fn keep_in_mind(report: &Report) -> Markup {
    let notes = || report.cautions.iter().chain(&report.meta.warnings);
    html! {
        @if notes().next().is_some() {
            h3 { "Keep in mind" }
            ul.notes { @for note in notes() { li { (note) } } }
        }
    }
}

/// What each contestant is good for.
pub(super) fn good_for(report: &Report) -> Markup {
    let contestants = report.advice.iter().filter_map(|advice| match &advice.topic {
        Topic::Contestant(of) => Some((of, advice)),
        _ => None,
    });
    html! {
        section id="good-for" {
            h2 { "What each is good for" }
            div.cards {
                @for (of, advice) in contestants {
                    div.card {
                        h3 { (name(report, of)) }
                        @if let Some(contestant) = report.contestant(of) {
                            p.soft { (contestant.layout) }
                        }
                        p { (advice.text) }
                    }
                }
            }
        }
    }
}
