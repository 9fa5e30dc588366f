//! Pairs whose medians are alike and whose distributions are not, with both curves.

use coupon_measure::stats::shape::upper_ms;
use maud::{Markup, html};

use super::marks::{colour, dash, name};
use super::svg::{LogScale, MARGIN, WIDTH, drawing, log_axis, panel, px, tick};
use crate::Report;
use crate::endpoints;
use crate::model::{Contestant, Shape};

const HEIGHT: f64 = 120.0;

/// A chart for each; nothing where there is none.
pub(super) fn section(report: &Report) -> Markup {
    let told: Vec<&Shape> = report.shapes.iter().filter(|shape| shape.same_median).collect();
    let few = || report.shapes.iter().filter(|shape| shape.has_too_few_rounds());
    let most = Shape::takes_most(few());
    html! {
        @if let Some(most) = most {
            p.key {
                "Too few rounds to tell whole distributions of "
                @if few().count() == report.shapes.len() { "any two" } @else { "some" }
                " apart: " (most.takes()) "."
            }
        }
        @if !told.is_empty() {
            h3 { "Same median, other shape" }
            p.key {
                "The part of requests that were answered within a time, over all rounds. No difference was shown between the two medians, \
                 and yet more requests lie between these curves than swapping the two within rounds would put there (Kolmogorov and \
                 Smirnov's distance, marked)."
            }
            div.panels { @for (at, shape) in told.into_iter().enumerate() { (chart(report, shape, at)) } }
        }
    }
}

fn chart(report: &Report, shape: &Shape, at: usize) -> Markup {
    let curves = [&shape.a, &shape.b].map(|name| {
        (name.as_str(), report.contestant(name).map(|of| curve(of, &shape.endpoint)).unwrap_or_default())
    });
    let scale = LogScale::over(curves.iter().flat_map(|(_, curve)| curve.iter().map(|(ms, _)| *ms)));
    let caption = html! {
        (endpoints::name(&shape.endpoint)) small { (name(report, &shape.a)) " and " (name(report, &shape.b)) }
    };
    let y = |part: f64| 4.0 + (1.0 - part) * (HEIGHT - 4.0);
    let body = html! {
        @if let Some(scale) = scale {
            (log_axis(scale, HEIGHT, tick))
            line.one x1=(px(scale.at(shape.at_ms))) x2=(px(scale.at(shape.at_ms))) y1=(px(y(shape.a_within))) y2=(px(y(shape.b_within))) {}
            @for (name, curve) in &curves {
                @let points: Vec<String> =
                    curve.iter().map(|(ms, part)| format!("{},{}", px(scale.at(*ms)), px(y(*part)))).collect();
                polyline points=(points.join(" ")) fill="none" stroke=(colour(report, name)) stroke-width="2"
                    stroke-dasharray=(dash(report, name)) {}
            }
            text.tick x=(WIDTH - MARGIN) y=(px(HEIGHT + 27.0)) text-anchor="end" { "ms" }
        }
    };
    let title = format!("Parts of requests answered within a time: {}", endpoints::name(&shape.endpoint));
    panel(&caption, &drawing(&format!("shape-{at}"), HEIGHT + 30.0, &title, &shape.text, &body))
}

/// The part of requests up to each time, every round counting alike.
fn curve(contestant: &Contestant, endpoint: &str) -> Vec<(f64, f64)> {
    let mut parts = std::collections::BTreeMap::<u16, f64>::new();
    let rounds = contestant.rounds.iter().filter_map(|round| round.endpoints.get(endpoint));
    let rounds: Vec<_> = rounds.filter(|of| of.timed > 0 && !of.histogram.is_empty()).collect();
    for of in &rounds {
        let all: u64 = of.histogram.iter().map(|(_, count)| count).sum();
        for (bucket, count) in &of.histogram {
            *parts.entry(*bucket).or_default() += *count as f64 / all as f64 / rounds.len() as f64;
        }
    }
    let mut so_far = 0.0;
    parts
        .into_iter()
        .map(|(bucket, part)| {
            so_far += part;
            (upper_ms(bucket), so_far.min(1.0))
        })
        .collect()
}
