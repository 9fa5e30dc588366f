//! The limits that were set, and whether they were kept.

use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, scrolling};
use crate::Report;

/// A table of them; nothing when none was set.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        @if !report.requirements.is_empty() {
            section id="required" {
                h2 { "Required" }
                (scrolling("Required", &html! {
                    table.words {
                        thead { tr { (heads(["limit", "", "contestant", "figure"])) } }
                        tbody {
                            @for requirement in &report.requirements {
                                tr {
                                    th scope="row" { code { (requirement.text) } }
                                    @if requirement.passed { td.good { "✓ kept" } }
                                    @else if requirement.is_broken() { td.bad { "✗ not kept" } }
                                    @else { td { "? cannot say: the load was the limit" } }
                                    td { (name(report, &requirement.contestant)) }
                                    td { (requirement.shown()) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// The outcome in a word, for the page's head.
pub(super) fn badge(report: &Report) -> Markup {
    let all = report.requirements.len();
    let kept = report.requirements.iter().filter(|requirement| requirement.passed).count();
    let broken = report.requirements.iter().filter(|requirement| requirement.is_broken()).count();
    html! {
        @if all > 0 {
            a href="#required" class=(if kept == all { "badge good" } else { "badge bad" }) {
                @if kept == all { "✓ " (kept) " of " (all) " limits kept" }
                @else if broken > 0 { "✗ " (broken) " of " (all) " limits not kept" }
                @else { "? " (all - kept) " of " (all) " limits cannot be judged" }
            }
        }
    }
}
