//! The report as one page that needs nothing else: no script, no font, no picture from elsewhere.

mod advice;
mod answer;
mod audit;
mod counts;
mod cures;
mod effective_shards;
mod fan_out;
mod forest;
mod growth;
mod heat;
mod history;
mod latency;
mod marks;
mod method;
mod outlook;
mod picture;
mod required;
mod shapes;
mod svg;
mod table;
mod vertical;
mod work_map;
mod writes;

use coupon_measure::format::{self, number};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
pub use advice::{AdvicePage, KeyMap, render as render_advice};
pub use history::render as render_history;

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let body = html! {
        (header(report))
        main {
            (answer::first_screen(report))
            (contents(report))
            (required::section(report))
            (answer::by_need(report))
            (latency::section(report))
            (writes::section(report))
            (growth::section(report))
            (heat::section(report))
            (effective_shards::section(report))
            (fan_out::section(report))
            (outlook::section(report))
            (answer::good_for(report))
            (cures::section(report))
            (forest::section(report))
            (vertical::section(report))
            (audit::section(report))
            (method::section(report))
        }
    };
    page(&report.meta.title, &body)
}

/// A page of that body.
fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

fn header(report: &Report) -> Markup {
    let meta = &report.meta;
    let rate =
        meta.rate.map_or_else(|| "as fast as answers come".into(), |r| format!("{} requests/s", number(r)));
    html! {
        header {
            h1 { (meta.title) }
            p.lead {
                (badge(report)) " " (required::badge(report)) " "
                (format::counted(meta.rounds.into(), "round")) " of "
                (format::plain(meta.seconds_per_round)) " s at " (rate) ", workload " (meta.workload) ", "
                (meta.backend) " backend" (format::quota(meta.shard_cpu)) ", " (meta.date)
            }
        }
    }
}

fn contents(report: &Report) -> Markup {
    let sections = [
        ("needs", "By need"),
        ("latency", "Latency"),
        ("writes", "Work over time"),
        ("heat", "What was hot"),
        ("spread", "Skew"),
        ("fan-out", "Fan-out"),
        ("outlook", "More shards"),
        ("good-for", "What each is good for"),
        ("cures", "Cures"),
        ("verdicts", "Verdicts"),
        ("vertical", "Vertical"),
        ("audit", "Audit"),
        ("method", "Method"),
    ];
    let growth = growth::is_in(report).then_some(("growth", "While the layout changes"));
    let required = (!report.requirements.is_empty()).then_some(("required", "Required"));
    html! {
        nav aria-label="Sections" {
            @for (id, name) in required.into_iter().chain(sections).chain(growth) { a href={ "#" (id) } { (name) } }
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
