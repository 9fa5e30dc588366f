//! One chart: a curve for each contestant.

use coupon_measure::format;
use coupon_measure::stats::{Estimate, estimate};
use maud::{Markup, html};

use super::subject::Subject;
use crate::Report;
use crate::html::marks::{colour, dash, mark};
use crate::html::svg::{LogScale, WIDTH, anchor, data, drawing, panel, px, short, tick};
use crate::model::{Contestant, Quantile};

const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
/// The space between the axis and the median, so that its bars do not cross the labels.
const INSET: f64 = 12.0;
const TOP: f64 = 10.0;
const HEIGHT: f64 = 168.0;
/// Labelled on the axis, and where curves have their marks.
const MARKED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// A contestant's curve: percentile and milliseconds.
struct Curve<'a> {
    subject: Subject<'a>,
    contestant: &'a Contestant,
    points: Vec<(f64, f64)>,
}

impl<'a> Curve<'a> {
    /// The median over rounds at each percentile that most of them reach.
    fn of(report: &Report, contestant: &'a Contestant, subject: Subject<'a>) -> Self {
        let percentiles = &report.meta.curve_percentiles;
        let rounds: Vec<Vec<(f64, f64)>> =
            contestant.rounds.iter().filter_map(|round| subject.points(round, percentiles)).collect();
        let longest = rounds.iter().max_by_key(|points| points.len());
        let median = |(at, (percentile, _)): (usize, &(f64, f64))| {
            let values: Vec<f64> = rounds.iter().filter_map(|points| Some(points.get(at)?.1)).collect();
            let most = 2 * values.len() > rounds.len();
            estimate(&values).filter(|of| most && of.median > 0.0).map(|of| (*percentile, of.median))
        };
        let points = longest.into_iter().flatten().enumerate().map_while(median).collect();
        Self { subject, contestant, points }
    }

    fn summary(&self, quantile: Quantile) -> Option<&'a Estimate> {
        self.contestant.summary(&self.subject.metric(quantile))?.estimate.as_ref()
    }
}

fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// The axis of percentiles: up to the last one that any curve reaches.
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

/// The chart of one endpoint or scenario.
pub(super) fn chart(report: &Report, subject: Subject<'_>, id: &str) -> Markup {
    let curves: Vec<Curve<'_>> =
        report.contestants.iter().map(|contestant| Curve::of(report, contestant, subject)).collect();
    let caption = html! { (subject.name()) small { (subject.part(report)) } };
    let whiskers = curves
        .iter()
        .flat_map(|curve| [Quantile::P50, Quantile::P99].into_iter().filter_map(|of| curve.summary(of)));
    let ends = whiskers.flat_map(|of| [of.low, of.high]);
    let drawn = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, ms)| *ms));
    let Some(scale) = LogScale::over(drawn.chain(ends)) else {
        return panel(&caption, &html! { p.soft { "n/a: no request of this kind was answered" } });
    };
    let reached = curves.iter().filter_map(|curve| curve.points.last()).map(|(percentile, _)| *percentile);
    let across = Across { last: reached.fold(90.0, f64::max) };
    let body = html! {
        (axes(scale, across))
        @for (at, curve) in curves.iter().enumerate() { (draw(report, curve, scale, across, at)) }
    };
    let title = format!("Latency of {} by percentile", subject.name());
    panel(
        &caption,
        &html! {
            (drawing(&format!("latency-{id}"), HEIGHT + 34.0, &title, &describe(&curves), &body))
            (table(&curves))
        },
    )
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
            text.tick x=(px(x)) y=(px(HEIGHT + 14.0)) text-anchor=(anchor(x)) { (tick_of(percentile)) }
        }
        text.tick x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(HEIGHT + 30.0)) text-anchor="middle" { "percentile of requests" }
        text.tick x="2" y=(px(TOP - 1.0)) { "ms" }
    }
}

fn tick_of(percentile: f64) -> String {
    format!("p{percentile}")
}

fn draw(report: &Report, curve: &Curve<'_>, scale: LogScale, across: Across, at: usize) -> Markup {
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
        Some((across.at(*percentile) + aside, curve.summary(*quantile).filter(|_| reached)?))
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

fn describe(curves: &[Curve<'_>]) -> String {
    let rows: Vec<String> = curves
        .iter()
        .map(|curve| {
            let of = |quantile| shown(curve.summary(quantile));
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

fn table(curves: &[Curve<'_>]) -> Markup {
    let rows: Vec<Vec<String>> = curves
        .iter()
        .map(|curve| {
            let of = Quantile::ALL.map(|quantile| shown(curve.summary(quantile)));
            std::iter::once(curve.contestant.name.clone()).chain(of).collect()
        })
        .collect();
    data(&["ms", "p50", "p90", "p99", "p99.9"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

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
