//! Contestants whose layout was changed in the middle of their turns.

use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, named_row, scrolling};
use crate::Report;
use crate::growth::{GrowthSummary, HEADS, summary};
use crate::model::Contestant;

/// True if the layout of any contestant was to be changed.
pub(super) fn is_in(report: &Report) -> bool {
    report
        .contestants
        .iter()
        .any(|contestant| contestant.unchanged.is_some() || contestant.growths().next().is_some())
}

/// A card for each; nothing where no layout was changed.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        @if is_in(report) {
            section id="growth" {
                h2 { "While the layout changes" }
                p.key {
                    "In the middle of each turn the layout was changed by the service's own endpoints, and earlier rows were moved to where \
                     the new one says, while the load went on. Each turn was on data of its own. Figures are medians over rounds; what is \
                     divided is divided within a round. Nobody is named best from them: contestants that change differently do different work."
                }
                div.cards { @for contestant in &report.contestants { (card(report, contestant)) } }
            }
        }
    }
}

fn card(report: &Report, contestant: &Contestant) -> Markup {
    html! {
        div.card {
            h3 { (name(report, &contestant.name)) }
            @if let Some(why) = &contestant.unchanged { p.soft { "Left alone: " (why) "." } }
            @if let Some(summary) = summary(contestant) { (facts(&summary, &contestant.name)) }
        }
    }
}

fn facts(summary: &GrowthSummary, contestant: &str) -> Markup {
    html! {
        dl { @for (word, fact) in &summary.facts { dt { (word) } dd { (fact) } } }
        @if let Some(wrong) = &summary.wrong { p.bad { "Not as predicted: " (wrong) "." } }
        (scrolling(&format!("The change of {contestant}"), &html! {
            table {
                thead { tr { (heads(HEADS)) } }
                tbody { @for row in &summary.rows {
                    (named_row(row))
                } }
            }
        }))
    }
}
