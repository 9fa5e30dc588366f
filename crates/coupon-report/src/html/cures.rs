//! The gain and the price of each cure, beside its plain variant.

use coupon_measure::format::{self, number, plain};
use maud::{Markup, html};

use super::marks::name;
use super::table::scrolling;
use crate::Report;
use crate::endpoints;
use crate::model::{Advice, Call, Contestant, Metric, Topic, Verdict};

/// A table for each cure.
pub(super) fn section(report: &Report) -> Markup {
    let cures: Vec<(&Contestant, &Contestant, &Advice)> = report
        .advice
        .iter()
        .filter_map(|advice| match &advice.topic {
            Topic::Cure(cure) => {
                let cure = report.contestant(cure)?;
                Some((cure, report.contestant(cure.cure_of.as_deref()?)?, advice))
            }
            _ => None,
        })
        .collect();
    html! {
        section id="cures" {
            h2 { "Cures and their price" }
            @if cures.is_empty() { p { "No cure was compared with its plain variant." } } @else {
                p.key { "What differs between a cure and its plain variant; whatever is not listed was not shown to differ." }
            }
            div.cards { @for (cure, of, advice) in cures { (table(report, cure, of, advice)) } }
        }
    }
}

fn table(report: &Report, cure: &Contestant, of: &Contestant, advice: &Advice) -> Markup {
    let rows: Vec<&Verdict> = report
        .verdicts
        .iter()
        .filter(|v| v.cure && v.a == cure.name && v.b == of.name && is_told(v))
        .collect();
    html! {
        div.card {
            h3 { (name(report, &cure.name)) " instead of " (name(report, &of.name)) }
            p.soft { (cure.layout) }
            @if advice.choice.is_empty() { p.bad { "It was not shown to spread the writes better." } }
            (scrolling(&format!("Price of {}", cure.name), &html! {
                table.price {
                    thead { tr {
                        th scope="col" { "what differs" }
                        th scope="col" { "without → with" }
                        th scope="col" { "effect" }
                    } }
                    tbody { @for verdict in rows { (row(verdict, cure, of)) } }
                }
            }))
            p.soft { (advice.certainty) }
        }
    }
}

/// Effective shards always; the rest when it differs and the strategy has a say in it.
fn is_told(verdict: &Verdict) -> bool {
    let endpoint = verdict.metric.endpoint();
    let concerned = endpoint.is_none_or(endpoints::is_sharded);
    verdict.metric == Metric::EffectiveShards || (concerned && verdict.call == Call::Difference)
}

fn row(verdict: &Verdict, cure: &Contestant, of: &Contestant) -> Markup {
    let unit = verdict.metric.unit();
    let number = if unit.is_empty() { plain } else { number };
    let space = if unit == "ms" { " " } else { "" };
    let shown = |of: &Contestant| of.median(&verdict.metric).map_or_else(|| "n/a".into(), number);
    let (class, effect) = match (verdict.call, verdict.better.as_deref()) {
        (Call::Difference, Some(better)) if better == cure.name => ("good", "gain"),
        (Call::Difference, _) => ("bad", "price"),
        (Call::NoDifference, _) => ("soft", "no difference"),
        (Call::TooFewRounds, _) => ("soft", "too few rounds"),
        (Call::Withheld, _) => ("soft", "no verdict"),
    };
    html! {
        tr {
            th scope="row" { (verdict.metric.label()) }
            td {
                (shown(of)) " → " (shown(cure)) (space) (unit)
                @if let Some(ratio) = &verdict.ratio { small.soft { (format::ratio(ratio)) } }
            }
            td class=(class) { (effect) }
        }
    }
}
