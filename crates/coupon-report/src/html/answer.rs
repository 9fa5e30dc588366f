//! The first screen: which, for this workload, how sure, and what would change it; then the same by need.

use coupon_measure::format::{self, number, plain};
use maud::{Markup, html};

use super::marks::name;
use super::picture;
use crate::Report;
use crate::model::{Advice, KeyFigure, Topic};

/// The number of changes to the answer that are shown at once; the first are the nearest.
const CHANGES: usize = 2;

/// The answer, a picture of what it rests on, and what would change it.
pub(super) fn first_screen(report: &Report) -> Markup {
    let answer = &report.answer;
    html! {
        section.answer id="answer" aria-label="Which, for this workload" {
            p.verdict { (answer.verdict) }
            p.sure.soft {
                (answer.certainty)
                @let notes = report.cautions.len() + report.meta.warnings.len();
                @if notes > 0 { " · " a href="#needs" { (format::counted(notes as u64, "note")) " to keep in mind" } }
            }
            @let doubts = report.doubts_beside_answer();
            @if !doubts.is_empty() { ul.doubts { @for doubt in doubts { li { (doubt) } } } }
            @if report.needs.iter().all(|need| need.by.is_none()) {
                ul.facts { @for figure in &answer.figures { li { (fact(report, figure)) } } }
            } @else {
                (picture::of(report))
                p.key {
                    "Medians of the rounds with their intervals, each need on a scale of its own from 0. ✓ leads: it was shown to be \
                     better than another, and nobody to be better than it."
                    @if report.doubts.iter().any(|doubt| doubt.kind.bars()) { " ✗ leads in nothing: see above." }
                }
            }
            @if !answer.changes.is_empty() {
                div.changes {
                    h2 { "What would change it" }
                    ul { @for change in answer.changes.iter().take(CHANGES) { li { (change) } } }
                }
            }
        }
    }
}

fn fact(report: &Report, figure: &KeyFigure) -> Markup {
    let (number, space): (fn(f64) -> String, _) = if figure.unit.is_empty() {
        (plain, "")
    } else {
        (number, if figure.unit == "ms" { " " } else { "" })
    };
    let estimate = &figure.estimate;
    let (low, high) = (number(estimate.low), number(estimate.high));
    html! {
        div.label { (figure.label) ": " (name(report, &figure.contestant)) }
        div.figure {
            strong { (number(estimate.median)) (space) (figure.unit) }
            " " span.interval { @if estimate.n > 1 { (low) "–" (high) } @else { "a single round" } }
        }
    }
}

/// Needs with what to choose for them, whether shards are needed at all, and what to keep in mind.
pub(super) fn by_need(report: &Report) -> Markup {
    let needs: Vec<&Advice> = report.advice.iter().filter(|a| matches!(a.topic, Topic::Need(_))).collect();
    let baseline = report.advice.iter().filter(|advice| advice.topic == Topic::Baseline);
    html! {
        section id="needs" {
            h2 { "By need" }
            @if !report.audit.sums.passed() {
                p.bad { strong { "The audit failed: " a href="#audit" { "see why" } " before you choose by anything here." } }
            } @else if !report.audit.passed {
                p.bad { "Not every round was audited: " a href="#audit" { "see why" } "." }
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

/// The section on each contestant's strengths.
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
                            p.soft {
                                (contestant.layout)
                                @if let Some(baseline) = &contestant.baseline { "; " (baseline) }
                            }
                        }
                        p { (advice.text) }
                    }
                }
            }
        }
    }
}
