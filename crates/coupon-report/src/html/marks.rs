//! The marks of contestants: a colour, a shape and a dash, so that no one of them has to be seen.

use maud::{Markup, html};

use super::svg::px;
use crate::Report;

/// Around 0, about nine units wide.
const MARKS: [&str; 7] = [
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0Z",
    "M-3.8-3.8H3.8V3.8H-3.8Z",
    "M0-5L5 3.8H-5Z",
    "M0-5.4L5.4 0L0 5.4L-5.4 0Z",
    "M0 5L5-3.8H-5Z",
    "M-4.6-2.4L-2.4-4.6L0-2.2L2.4-4.6L4.6-2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0Z",
    "M-1.6-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
];

const DASHES: [&str; 7] = ["none", "7 3", "2 2.5", "9 3 2 3", "12 4", "5 2 1 2", "1 3.5"];

/// A contestant's place in the report, which decides how it is shown.
fn place(report: &Report, name: &str) -> usize {
    report.contestants.iter().position(|contestant| contestant.name == name).unwrap_or(0)
}

/// A contestant's colour; it is always shown with the name or a mark, never instead of it.
pub(super) fn colour(report: &Report, name: &str) -> String {
    format!("var(--c{})", place(report, name) % MARKS.len())
}

/// The dashes of its lines.
pub(super) fn dash(report: &Report, name: &str) -> &'static str {
    DASHES.get(place(report, name) % DASHES.len()).copied().unwrap_or("none")
}

/// The mark of a contestant at a point of a drawing.
pub(super) fn mark(report: &Report, name: &str, x: f64, y: f64) -> Markup {
    let place = place(report, name);
    // The eighth has the first's colour, and the mark of the second.
    let shape = MARKS.get((place + place / MARKS.len()) % MARKS.len()).copied().unwrap_or_default();
    html! { path d=(shape) transform={ "translate(" (px(x)) " " (px(y)) ")" } {} }
}

/// A contestant's name behind its mark.
pub(super) fn name(report: &Report, name: &str) -> Markup {
    html! {
        span.name {
            svg.mark viewBox="0 0 12 12" aria-hidden="true" {
                g fill=(colour(report, name)) { (mark(report, name, 6.0, 6.0)) }
            }
            (name)
        }
    }
}

/// Every contestant with its line and its mark, for charts that show several.
pub(super) fn legend(report: &Report) -> Markup {
    html! {
        ul.legend aria-label="Contestants" {
            @for contestant in &report.contestants {
                @let colour = colour(report, &contestant.name);
                li {
                    svg.line viewBox="0 0 36 12" aria-hidden="true" {
                        line x1="0" x2="36" y1="6" y2="6" stroke=(colour) stroke-width="2"
                            stroke-dasharray=(dash(report, &contestant.name)) {}
                        g fill=(colour) { (mark(report, &contestant.name, 18.0, 6.0)) }
                    }
                    (contestant.name)
                }
            }
        }
    }
}
