//! Parts that the charts share: scales, ticks, numbers.
//!
//! Every chart is drawn [`WIDTH`] units wide and shown at about that many pixels, several side by side on a wide
//! screen and one below the other on a phone: text keeps its size on both.

use super::table::{heads, named_row, scrolling};
use coupon_measure::format::number;
use maud::{Markup, html};

/// The width of every chart, in its own units.
pub(super) const WIDTH: f64 = 360.0;
/// The space between a chart's edge and its plot.
pub(super) const MARGIN: f64 = 10.0;
/// The least distance between two ticks' labels.
const TICK_ROOM: f64 = 38.0;

/// Round values within a decade, the dense ones first: a narrow scale needs them, and on a wide one they meet.
const STEPS: [&[f64]; 5] = [
    &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
    &[1.0, 2.0, 5.0],
    &[1.0, 3.0],
    &[1.0],
];

/// A coordinate, short.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Puts values on an axis by their logarithm.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    /// A scale over all values, with a little room; `None` without a positive value.
    pub(super) fn over(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let positive = values.into_iter().filter(|value| *value > 0.0 && value.is_finite());
        let (low, high) =
            positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        (high > 0.0).then(|| Self { low: low / 1.15, high: high * 1.15 })
    }

    /// A scale with 1 in its middle that holds `most` on either side.
    pub(super) fn around_one(most: f64) -> Self {
        let most = most.max(1.5) * 1.1;
        Self { low: 1.0 / most, high: most }
    }

    /// The position of a value between the scale's ends, 0 to 1.
    pub(super) fn part(self, value: f64) -> f64 {
        (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln()
    }

    /// The position of a value across a chart.
    pub(super) fn at(self, value: f64) -> f64 {
        MARGIN + self.part(value) * (WIDTH - 2.0 * MARGIN)
    }

    /// Round values to label across a chart, far enough apart to be read.
    pub(super) fn ticks(self) -> Vec<f64> {
        self.ticks_over(WIDTH - 2.0 * MARGIN, TICK_ROOM)
    }

    /// The same over another length, with labels of another size.
    pub(super) fn ticks_over(self, length: f64, room: f64) -> Vec<f64> {
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let all = |steps: &'static [f64]| {
            decades.clone().flat_map(move |decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
        };
        let within = |tick: &f64| (self.low..=self.high).contains(tick);
        for steps in STEPS {
            let ticks: Vec<f64> = all(steps).filter(within).collect();
            let apart = ticks.windows(2).all(|pair| match pair {
                [one, other] => (self.part(*other) - self.part(*one)) * length >= room,
                _ => true,
            });
            if apart && ticks.len() > 1 {
                return ticks;
            }
        }
        // Too many decades, or none of the round values within: every other decade, or the ends.
        let decades: Vec<f64> = all(&[1.0]).filter(within).step_by(2).collect();
        if decades.len() < 2 { vec![self.low, self.high] } else { decades }
    }
}

/// Vertical lines at the ticks, and their labels below.
pub(super) fn log_axis(scale: LogScale, height: f64, label: impl Fn(f64) -> String) -> Markup {
    html! {
        @for tick in scale.ticks() {
            line class="grid" x1=(px(scale.at(tick))) x2=(px(scale.at(tick))) y1="2" y2=(px(height)) {}
            text class="tick" x=(px(scale.at(tick))) y=(px(height + 13.0)) text-anchor=(anchor(scale.at(tick))) {
                (label(tick))
            }
        }
    }
}

/// The anchor of a label that keeps it within the chart.
pub(super) fn anchor(x: f64) -> &'static str {
    if x < 24.0 {
        "start"
    } else if x > WIDTH - 24.0 {
        "end"
    } else {
        "middle"
    }
}

/// A tick of a plain number.
pub(super) fn tick(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Text that fits into so many characters.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A drawing that says what it is and what it shows to those who cannot see it. Its `id` is the page's only one.
pub(super) fn drawing(id: &str, height: f64, title: &str, desc: &str, body: &Markup) -> Markup {
    let (title_id, desc_id) = (format!("{id}-t"), format!("{id}-d"));
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (px(height)) } role="img" aria-labelledby={ (title_id) " " (desc_id) } {
            title id=(title_id) { (title) }
            desc id=(desc_id) { (desc) }
            (body)
        }
    }
}

/// The figures of a drawing, for those who would rather read them.
pub(super) fn data(columns: &[&str], rows: &[Vec<String>]) -> Markup {
    folded("The figures as a table", columns, rows)
}

/// A table for those who ask for it.
pub(super) fn folded(summary: &str, columns: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        details.data {
            summary { (summary) }
            (scrolling(summary, &html! {
                table {
                    thead { tr { (heads(columns)) } }
                    tbody {
                        @for row in rows {
                            (named_row(row))
                        }
                    }
                }
            }))
        }
    }
}

/// A chart with its caption, in a frame of its own.
pub(super) fn panel(caption: &Markup, chart: &Markup) -> Markup {
    html! { figure.panel { figcaption { (caption) } (chart) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_scale_spans_the_chart_and_keeps_proportions() {
        let scale = LogScale::over([1.0, 10.0, 100.0]).unwrap();
        let (low, middle, high) = (scale.at(1.0), scale.at(10.0), scale.at(100.0));
        assert!(low > MARGIN && high < WIDTH - MARGIN);
        assert!((middle - low - (high - middle)).abs() < 1e-9);
        assert!(LogScale::over([0.0]).is_none());
    }

    #[test]
    fn labels_of_ticks_do_not_meet() {
        for (low, high) in [(0.2, 0.25), (0.1, 10_000.0), (1.0, 9.0), (0.003, 400.0)] {
            let ticks = LogScale::over([low, high]).unwrap().ticks();
            assert!(!ticks.is_empty(), "{low} {high}");
            let scale = LogScale::over([low, high]).unwrap();
            assert!(
                ticks.windows(2).all(|pair| scale.at(pair[1]) - scale.at(pair[0]) >= TICK_ROOM),
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn one_lies_in_the_middle_of_a_scale_of_ratios() {
        assert!((LogScale::around_one(4.0).at(1.0) - WIDTH / 2.0).abs() < 1e-9);
    }

    #[test]
    fn long_names_are_cut_visibly() {
        assert_eq!((short("hash", 6), short("range-room", 6)), ("hash".into(), "range…".into()));
    }
}
