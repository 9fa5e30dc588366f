//! The report as one page that needs nothing else: no script, no font, no picture from elsewhere.

mod answer;
mod cures;
mod forest;
mod latency;
mod method;
mod spread;
mod svg;
mod tables;
mod writes;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use crate::format::{self, number};

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.meta.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                main {
                    (answer::which(report))
                    (answer::good_for(report))
                    (spread::section(report))
                    (latency::section(report))
                    (writes::section(report))
                    (tables::fan_out(report))
                    (forest::section(report))
                    (cures::section(report))
                    (tables::audit(report))
                    (method::section(report))
                }
            }
        }
    };
    page.into_string()
}

fn header(report: &Report) -> Markup {
    let meta = &report.meta;
    let rate =
        meta.rate.map_or_else(|| "as fast as answers come".into(), |r| format!("{} requests/s", number(r)));
    let sections = [
        ("good-for", "What each is good for"),
        ("spread", "Effective shards"),
        ("latency", "Latency"),
        ("writes", "Writes over time"),
        ("fan-out", "Fan-out"),
        ("verdicts", "Verdicts"),
        ("cures", "Cures"),
        ("audit", "Audit"),
        ("method", "Method"),
    ];
    html! {
        header {
            h1 { (meta.title) " " (badge(report)) }
            p.lead {
                (format::counted(meta.rounds.into(), "round")) " of "
                (format::plain(meta.seconds_per_round)) " s at " (rate) ", workload " (meta.workload) ", "
                (meta.backend) " backend" (format::quota(meta.shard_cpu)) ", " (report.contestants.len()) " contestants, " (meta.date)
            }
            nav aria-label="Sections" { @for (id, name) in sections { a href={ "#" (id) } { (name) } } }
        }
    }
}

fn badge(report: &Report) -> Markup {
    let (class, text) = match (report.audit.passed, report.audit.sums.passed()) {
        (true, _) => ("badge good", "✓ audit passed"),
        (false, true) => ("badge bad", "✗ audit incomplete"),
        (false, false) => ("badge bad", "✗ audit failed"),
    };
    html! { span class=(class) { (text) } }
}

/// A contestant's name with its colour.
fn name(report: &Report, name: &str) -> Markup {
    html! {
        span.name { span.dot style={ "background:" (colour(report, name)) } aria-hidden="true" {} (name) }
    }
}

/// A contestant's colour; it is always shown beside the name, never instead of it.
fn colour(report: &Report, name: &str) -> String {
    let at = report.contestants.iter().position(|contestant| contestant.name == name).unwrap_or(0);
    format!("var(--c{})", at % 7)
}
