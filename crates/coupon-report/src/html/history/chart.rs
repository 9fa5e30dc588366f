//! One figure, run by run: its medians with their intervals, its level between changes, and the changes.

use coupon_measure::format::{self, number};
use coupon_measure::stats::Estimate;
use maud::{Markup, html};

use crate::diff::{ChangeVerdict, with_unit};
use crate::history::{Figures, LastingChange, RunSeries, by};
use crate::html::svg::{MARGIN, WIDTH, anchor, data, drawing, panel, px, tick};

const HEIGHT: f64 = 112.0;
/// The room for the labels of changes above the plot, and of the values beside it.
const TOP: f64 = 16.0;
const LEFT: f64 = 46.0;
/// The least span, as a part of the middle: what is drawn larger looks like more than it is.
const LEAST_SPAN: f64 = 0.3;

/// The chart in a frame, with its figures as a table.
pub(super) fn panel_of(id: &str, series: &RunSeries, figures: &Figures) -> Markup {
    let last = figures.points.iter().flatten().last();
    let caption = html! {
        (with_unit(&figures.label, figures.unit))
        small { (last.map_or_else(|| "n/a".to_owned(), format::estimate)) " in the last run" }
    };
    let title = format!("{}: {} by run", figures.contestant, with_unit(&figures.label, figures.unit));
    let chart = html! {
        @if let Some(plot) = Plot::of(figures) {
            (drawing(id, HEIGHT + 16.0, &title, &described(figures), &plot.drawn(figures)))
        }
        (data(&["run", "began", "median", "interval"], &rows(series, figures)))
    };
    html! { div id=(id) { (panel(&caption, &chart)) } }
}

fn described(figures: &Figures) -> String {
    let medians: Vec<String> = figures
        .points
        .iter()
        .map(|point| point.as_ref().map_or_else(|| "n/a".to_owned(), |point| number(point.median)))
        .collect();
    let changes: Vec<String> = figures
        .changes
        .iter()
        .map(|changed| format!("{} by {} from run {} on", word(changed), by(changed), changed.at + 1))
        .collect();
    let changes = if changes.is_empty() { "no change".to_owned() } else { changes.join("; ") };
    format!("{changes}. From the first run: {}.", medians.join(", "))
}

fn rows(series: &RunSeries, figures: &Figures) -> Vec<Vec<String>> {
    let row = |(nth, (run, point)): (usize, (&crate::history::Run, &Option<Estimate>))| {
        let change = figures.changes.iter().find(|changed| changed.at + 1 == nth);
        let changed = change.map(|changed| format!(" ({} {})", word(changed), by(changed)));
        let (median, interval) = point.as_ref().map_or_else(
            || ("n/a".to_owned(), String::new()),
            |point| (number(point.median), format!("{}–{}", number(point.low), number(point.high))),
        );
        vec![format!("{nth}{}", changed.unwrap_or_default()), run.date.clone(), median, interval]
    };
    (1..).zip(series.runs.iter().zip(&figures.points)).map(row).collect()
}

fn word(changed: &LastingChange) -> &'static str {
    if changed.change == ChangeVerdict::Worse { "worse" } else { "better" }
}

/// The scales of a chart.
struct Plot {
    low: f64,
    high: f64,
    runs: usize,
}

impl Plot {
    /// Scales that hold every interval; none without a figure.
    fn of(figures: &Figures) -> Option<Self> {
        let points = || figures.points.iter().flatten();
        let low = points().map(|point| point.low).reduce(f64::min)?;
        let high = points().map(|point| point.high).reduce(f64::max)?;
        let middle = f64::midpoint(low, high);
        let span = (high - low).max(LEAST_SPAN * middle).max(f64::MIN_POSITIVE);
        let span = if middle > 0.0 { span } else { 1.0 };
        let low = (middle - 0.55 * span).max(0.0);
        Some(Self { low, high: middle + 0.55 * span, runs: figures.points.len() })
    }

    /// The middle of a run.
    fn x(&self, run: usize) -> f64 {
        self.edge(run) + 0.5 * (self.edge(1) - self.edge(0))
    }

    /// The line before a run.
    fn edge(&self, run: usize) -> f64 {
        LEFT + run as f64 / self.runs.max(1) as f64 * (WIDTH - LEFT - MARGIN)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        HEIGHT - part.clamp(0.0, 1.0) * (HEIGHT - TOP)
    }

    fn drawn(&self, figures: &Figures) -> Markup {
        html! {
            @for value in self.ticks() {
                line.grid x1=(px(LEFT)) x2=(px(WIDTH - MARGIN)) y1=(px(self.y(value))) y2=(px(self.y(value))) {}
                text.tick x=(px(LEFT - 5.0)) y=(px(self.y(value) + 4.0)) text-anchor="end" { (tick(value)) }
            }
            @for run in [0, self.runs.saturating_sub(1)] {
                text.tick x=(px(self.x(run))) y=(px(HEIGHT + 13.0)) text-anchor="middle" { (run + 1) }
            }
            @for (from, until, level) in levels(figures) {
                line.level x1=(px(self.edge(from))) x2=(px(self.edge(until))) y1=(px(self.y(level))) y2=(px(self.y(level))) {}
            }
            @for (run, point) in figures.points.iter().enumerate() {
                @if let Some(point) = point { (self.point(run, point)) }
            }
            @for changed in &figures.changes { (self.change(changed)) }
        }
    }

    fn point(&self, run: usize, point: &Estimate) -> Markup {
        let x = px(self.x(run));
        html! {
            line.whisker x1=(x) x2=(x) y1=(px(self.y(point.low))) y2=(px(self.y(point.high))) {}
            circle.point cx=(x) cy=(px(self.y(point.median))) r="2.6" {}
        }
    }

    fn change(&self, changed: &LastingChange) -> Markup {
        let (x, class) = (self.edge(changed.at), word(changed));
        let mark = if changed.change == ChangeVerdict::Worse { "▼" } else { "▲" };
        html! {
            line class=(class) stroke-width="1.5" stroke-dasharray="4 2.5" x1=(px(x)) x2=(px(x)) y1=(px(TOP - 2.0)) y2=(px(HEIGHT)) {}
            text class=(class) x=(px(x)) y="11" text-anchor=(anchor(x)) { (mark) " " (by(changed)) }
        }
    }

    /// Two to five round values within the scale.
    fn ticks(&self) -> Vec<f64> {
        let span = self.high - self.low;
        let decade = 10_f64.powf((span / 2.0).log10().floor());
        let step = [5.0, 2.0, 1.0].map(|by| by * decade).into_iter().find(|step| *step <= span / 2.0);
        let step = step.unwrap_or(decade);
        let first = (self.low / step).ceil();
        (0..6).map(|n| (first + f64::from(n)) * step).filter(|value| *value <= self.high).collect()
    }
}

/// The stretches between changes, with their medians.
fn levels(figures: &Figures) -> Vec<(usize, usize, f64)> {
    let Some(first) = figures.changes.first() else { return Vec::new() };
    let until = |nth: usize| figures.changes.get(nth).map_or(figures.points.len(), |next| next.at);
    let after = figures.changes.iter().enumerate().map(|(nth, of)| (of.at, until(nth + 1), of.after));
    std::iter::once((0, first.at, first.before)).chain(after).collect()
}
