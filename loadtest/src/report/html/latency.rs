//! Latency by endpoint as curves over percentiles: how long the slowest one in two, in ten, in a hundred takes.

use maud::{Markup, html};

use super::marks::{colour, dash, legend, mark};
use super::svg::{LogScale, WIDTH, data, drawing, panel, px, short, tick};
use crate::format::{self, percent};
use crate::report::Report;
use crate::report::endpoints;
use crate::report::model::{Contestant, EndpointRound, Metric, Quantile};
use crate::report::summarise::endpoints_of;
use crate::stats::{Estimate, estimate};

const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
/// Between the axis and the median, so that its bars do not cross the labels.
const INSET: f64 = 12.0;
const TOP: f64 = 10.0;
const HEIGHT: f64 = 168.0;
/// Labelled on the axis, and where curves have their marks.
const MARKED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];
/// The quantiles that have intervals.
const QUANTILES: [Quantile; 4] = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P999];

/// A chart for each endpoint.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="latency" {
            h2 { "Latency by endpoint" }
            p.key {
                "From the moment a request was due to its answer, so that a stall is not hidden. Each curve is the median over \
                 rounds of that percentile; the bars at p50 and p99 are the intervals of these medians. To the right \
                 the rarer, slower requests: each nine takes as much room as the one before. Milliseconds, \
                 logarithmic; each chart has its own scale, and lower is better. A curve ends where its rounds had too few \
                 requests for one of them to be slower: a p99 takes " (Quantile::P99.least_requests()) " a round."
            }
            (legend(report))
            div.panels {
                @for (at, key) in endpoints_of(&report.contestants).iter().enumerate() { (endpoint(report, key, at)) }
            }
        }
    }
}

/// A contestant's curve: percentile and milliseconds.
struct Curve<'a> {
    contestant: &'a Contestant,
    points: Vec<(f64, f64)>,
}

impl<'a> Curve<'a> {
    /// The median over rounds at each percentile that most of them reach.
    fn of(report: &Report, contestant: &'a Contestant, key: &str) -> Self {
        let rounds: Vec<Vec<(f64, f64)>> = contestant
            .rounds
            .iter()
            .filter_map(|round| round.endpoints.get(key))
            .map(|endpoint| points(endpoint, &report.meta.curve_percentiles))
            .collect();
        let longest = rounds.iter().max_by_key(|points| points.len());
        let median = |(at, (percentile, _)): (usize, &(f64, f64))| {
            let values: Vec<f64> = rounds.iter().filter_map(|points| Some(points.get(at)?.1)).collect();
            let most = 2 * values.len() > rounds.len();
            estimate(&values).filter(|of| most && of.median > 0.0).map(|of| (*percentile, of.median))
        };
        let points = longest.into_iter().flatten().enumerate().map_while(median).collect();
        Self { contestant, points }
    }

    fn summary(&self, key: &str, quantile: Quantile) -> Option<&'a Estimate> {
        self.contestant.summary(&Metric::latency(key, quantile))?.estimate.as_ref()
    }
}

/// A round's curve; in reports from before there were curves, the few percentiles they have.
fn points(endpoint: &EndpointRound, percentiles: &[f64]) -> Vec<(f64, f64)> {
    if !endpoint.curve_ms.is_empty() {
        return percentiles.iter().copied().zip(endpoint.curve_ms.iter().copied()).collect();
    }
    let Some(latency) = endpoint.latency.known() else { return Vec::new() };
    let all = [latency.p50, latency.p90, latency.p99, latency.p999];
    let resolved = QUANTILES.iter().take_while(|quantile| endpoint.requests >= quantile.least_requests());
    resolved.zip(MARKED).zip(all).map(|((_, percentile), ms)| (percentile, ms)).collect()
}

fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// Where percentiles lie: up to the last one that any curve reaches.
#[derive(Clone, Copy)]
struct Across {
    last: f64,
}

impl Across {
    fn at(self, percentile: f64) -> f64 {
        let (first, last) = (nines(50.0), nines(self.last));
        let from = LEFT + INSET;
        from + (nines(percentile) - first) / (last - first) * (WIDTH - from - RIGHT)
    }
}

fn endpoint(report: &Report, key: &str, number: usize) -> Markup {
    let curves: Vec<Curve<'_>> =
        report.contestants.iter().map(|contestant| Curve::of(report, contestant, key)).collect();
    let caption = html! { (endpoints::name(key)) small { (asked_by(report, key)) } };
    let whiskers = curves.iter().flat_map(|curve| {
        [Quantile::P50, Quantile::P99].into_iter().filter_map(|quantile| curve.summary(key, quantile))
    });
    let ends = whiskers.flat_map(|of| [of.low, of.high]);
    let drawn = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, ms)| *ms));
    let Some(scale) = LogScale::over(drawn.chain(ends)) else {
        return panel(&caption, &html! { p.soft { "n/a: no request of this kind was answered" } });
    };
    let reached = curves.iter().filter_map(|curve| curve.points.last()).map(|(percentile, _)| *percentile);
    let across = Across { last: reached.fold(90.0, f64::max) };
    let body = html! {
        (axes(scale, across))
        @for (at, curve) in curves.iter().enumerate() { (draw(report, curve, key, scale, across, at)) }
    };
    let title = format!("Latency of {} by percentile", endpoints::name(key));
    let id = format!("latency-{number}");
    panel(
        &caption,
        &html! {
            (drawing(&id, HEIGHT + 34.0, &title, &describe(key, &curves), &body))
            (table(key, &curves))
        },
    )
}

/// Which scenarios ask for it, and how much of all requests it is.
fn asked_by(report: &Report, key: &str) -> String {
    let parts: Vec<(&str, f64)> = report
        .meta
        .mix
        .iter()
        .filter_map(|part| Some((part.scenario.as_str(), *part.endpoints.get(key)?)))
        .collect();
    if parts.is_empty() {
        return "ms".into();
    }
    let shown: Vec<String> =
        parts.iter().map(|(scenario, share)| format!("{scenario} {}", percent(*share))).collect();
    let what = if shown.len() > 1 { "scenarios" } else { "scenario" };
    format!("{what} {} of all requests", format::list(&shown))
}

/// Milliseconds lie the other way round than a scale does: less is lower.
fn height_of(scale: LogScale, ms: f64) -> f64 {
    TOP + (1.0 - scale.part(ms)) * (HEIGHT - TOP)
}

fn axes(scale: LogScale, across: Across) -> Markup {
    let ticks: Vec<f64> = scale.ticks_over(HEIGHT - TOP, 20.0);
    let marked = || MARKED.into_iter().filter(move |percentile| *percentile <= across.last);
    html! {
        @for ms in ticks {
            @let y = height_of(scale, ms);
            line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(y)) y2=(px(y)) {}
            text.tick x=(px(LEFT - 5.0)) y=(px(y + 4.0)) text-anchor="end" { (tick(ms)) }
        }
        @for percentile in marked() {
            @let x = across.at(percentile);
            line.grid x1=(px(x)) x2=(px(x)) y1=(px(TOP)) y2=(px(HEIGHT)) {}
            text.tick x=(px(x)) y=(px(HEIGHT + 14.0)) text-anchor="middle" { (tick_of(percentile)) }
        }
        text.tick x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(HEIGHT + 30.0)) text-anchor="middle" { "percentile of requests" }
        text.tick x="2" y=(px(TOP - 1.0)) { "ms" }
    }
}

fn tick_of(percentile: f64) -> String {
    format!("p{percentile}")
}

fn draw(report: &Report, curve: &Curve<'_>, key: &str, scale: LogScale, across: Across, at: usize) -> Markup {
    let name = &curve.contestant.name;
    let colour = colour(report, name);
    let place = |(percentile, ms): &(f64, f64)| (across.at(*percentile), height_of(scale, *ms));
    let line: Vec<String> =
        curve.points.iter().map(place).map(|(x, y)| format!("{},{}", px(x), px(y))).collect();
    // Beside one another, so that bars of equal medians can be told apart.
    let aside = 3.5 * (at as f64 - (report.contestants.len() as f64 - 1.0) / 2.0);
    let bars = [(Quantile::P50, 50.0), (Quantile::P99, 99.0)];
    let bars = bars.iter().filter_map(|(quantile, percentile)| {
        let reached = curve.points.iter().any(|(point, _)| point == percentile);
        Some((across.at(*percentile) + aside, curve.summary(key, *quantile).filter(|_| reached)?))
    });
    html! {
        g stroke=(colour) fill="none" stroke-width="2" {
            polyline points=(line.join(" ")) stroke-dasharray=(dash(report, name)) stroke-linejoin="round" {}
            @for (x, bar) in bars {
                line x1=(px(x)) x2=(px(x)) y1=(px(height_of(scale, bar.low))) y2=(px(height_of(scale, bar.high)))
                    stroke-opacity="0.55" {}
            }
        }
        g fill=(colour) {
            @for point in curve.points.iter().filter(|(percentile, _)| MARKED.contains(percentile)) {
                @let (x, y) = place(point);
                (mark(report, name, x, y))
            }
        }
    }
}

fn shown(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(|| "n/a".to_owned(), format::estimate)
}

fn describe(key: &str, curves: &[Curve<'_>]) -> String {
    let rows: Vec<String> = curves
        .iter()
        .map(|curve| {
            let of = |quantile| shown(curve.summary(key, quantile));
            format!(
                "{}: p50 {}, p99 {}",
                short(&curve.contestant.name, 40),
                of(Quantile::P50),
                of(Quantile::P99)
            )
        })
        .collect();
    format!("In milliseconds. {}.", rows.join("; "))
}

fn table(key: &str, curves: &[Curve<'_>]) -> Markup {
    let rows: Vec<Vec<String>> = curves
        .iter()
        .map(|curve| {
            let of = QUANTILES.iter().map(|quantile| shown(curve.summary(key, *quantile)));
            std::iter::once(curve.contestant.name.clone()).chain(of).collect()
        })
        .collect();
    data(&["ms", "p50", "p90", "p99", "p99.9"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{LatencyMs, Reading};

    #[test]
    fn a_report_without_curves_shows_the_percentiles_that_its_rounds_resolve() {
        let latency = LatencyMs { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };
        let mut endpoint =
            EndpointRound { requests: 250, latency: Reading::Known(latency), ..EndpointRound::default() };
        assert_eq!(points(&endpoint, &[]), [(50.0, 1.0), (90.0, 2.0), (99.0, 3.0)]);
        endpoint.curve_ms = vec![1.0, 1.5];
        assert_eq!(points(&endpoint, &[50.0, 60.0, 70.0]), [(50.0, 1.0), (60.0, 1.5)]);
    }

    #[test]
    fn each_nine_takes_as_much_room_as_the_one_before() {
        let across = Across { last: 99.99 };
        let steps: Vec<f64> = [(90.0, 99.0), (99.0, 99.9), (99.9, 99.99)]
            .map(|(from, to)| across.at(to) - across.at(from))
            .into();
        assert!(steps.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-6), "{steps:?}");
        assert!(
            (across.at(50.0) - LEFT - INSET).abs() < 1e-9
                && (across.at(99.99) - (WIDTH - RIGHT)).abs() < 1e-9
        );
    }
}
