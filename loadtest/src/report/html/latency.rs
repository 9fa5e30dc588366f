//! Latency by endpoint: median over rounds, with whiskers.

use maud::{Markup, html};

use super::colour;
use super::svg::{LogScale, WIDTH, log_axis, panel, px, short, tick};
use crate::format::number;
use crate::report::Report;
use crate::report::endpoints;
use crate::report::model::{Contestant, Metric, Quantile};
use crate::report::summarise::endpoints_of;
use crate::stats::Estimate;

const ROW: f64 = 34.0;

/// A chart for each endpoint.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="latency" {
            h2 { "Latency by endpoint" }
            p.key {
                "From the moment a request was due to its answer. ● is p50, ◆ is p99: the median over rounds, with a \
                 whisker over its interval. Milliseconds, logarithmic; each chart has its own scale. \
                 Left is better. n/a: fewer than " (Quantile::P99.least_requests()) " requests in a round have no p99."
            }
            div.panels { @for key in endpoints_of(&report.contestants) { (endpoint(report, &key)) } }
        }
    }
}

struct Row<'a> {
    contestant: &'a Contestant,
    p50: Option<&'a Estimate>,
    p99: Option<&'a Estimate>,
}

fn endpoint(report: &Report, key: &str) -> Markup {
    let rows: Vec<Row<'_>> = report
        .contestants
        .iter()
        .map(|contestant| {
            let estimate = |quantile| contestant.summary(&Metric::latency(key, quantile))?.estimate.as_ref();
            Row { contestant, p50: estimate(Quantile::P50), p99: estimate(Quantile::P99) }
        })
        .collect();
    let ends = rows.iter().flat_map(|row| [row.p50, row.p99]).flatten().flat_map(|e| [e.low, e.high]);
    let caption = html! { (endpoints::name(key)) small { "p50 · p99, ms" } };
    let Some(scale) = LogScale::over(ends) else {
        return panel(&caption, &html! { p.soft { "n/a: no request of this kind was answered" } });
    };
    let height = ROW * rows.len() as f64 + 4.0;
    panel(
        &caption,
        &html! {
            svg viewBox={ "0 0 " (WIDTH) " " (px(height + 30.0)) } role="img" aria-label=(describe(key, &rows)) {
                (log_axis(scale, height, tick))
                @for (at, row) in rows.iter().enumerate() { (draw(report, row, ROW * at as f64, scale)) }
                text.tick x=(WIDTH / 2.0) y=(px(height + 27.0)) text-anchor="middle" { "ms, logarithmic" }
            }
        },
    )
}

fn figures(row: &Row<'_>) -> String {
    let shown = |estimate: Option<&Estimate>| estimate.map_or_else(|| "n/a".to_owned(), |e| number(e.median));
    format!("{} · {}", shown(row.p50), shown(row.p99))
}

fn draw(report: &Report, row: &Row<'_>, top: f64, scale: LogScale) -> Markup {
    let colour = colour(report, &row.contestant.name);
    let y = top + 25.0;
    html! {
        text x="4" y=(px(top + 15.0)) { (short(&row.contestant.name, 34)) }
        text.tick x=(WIDTH - 4.0) y=(px(top + 15.0)) text-anchor="end" { (figures(row)) }
        g stroke=(colour) fill=(colour) {
            @if let Some(p50) = row.p50 {
                (whisker(p50, y - 1.5, scale))
                circle cx=(px(scale.at(p50.median))) cy=(px(y - 1.5)) r="4.5" {}
            }
            @if let Some(p99) = row.p99 {
                (whisker(p99, y + 1.5, scale))
                path d=(diamond(scale.at(p99.median), y + 1.5)) {}
            }
        }
    }
}

fn whisker(estimate: &Estimate, y: f64, scale: LogScale) -> Markup {
    let (low, high) = (scale.at(estimate.low), scale.at(estimate.high));
    html! {
        line x1=(px(low)) x2=(px(high)) y1=(px(y)) y2=(px(y)) stroke-width="2" {}
        @for end in [low, high] { line x1=(px(end)) x2=(px(end)) y1=(px(y - 3.0)) y2=(px(y + 3.0)) stroke-width="2" {} }
    }
}

fn diamond(x: f64, y: f64) -> String {
    let r = 5.5;
    format!(
        "M{} {}L{} {}L{} {}L{} {}Z",
        px(x - r),
        px(y),
        px(x),
        px(y - r),
        px(x + r),
        px(y),
        px(x),
        px(y + r)
    )
}

fn describe(key: &str, rows: &[Row<'_>]) -> String {
    let rows: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.contestant.name, figures(row))).collect();
    format!("{}: p50 and p99 in milliseconds. {}", endpoints::name(key), rows.join("; "))
}
