//! The picture of the first screen: each need a row, each contestant a bar with its interval.

use coupon_measure::format::{number, plain};
use coupon_measure::stats::Estimate;
use maud::{Markup, html};

use super::marks::{colour, mark};
use super::svg::{WIDTH, drawing, px, short};
use crate::Report;
use crate::model::{Metric, Need, NeedResult, Place, Placed};

const HEAD: f64 = 19.0;
const BAR: f64 = 15.0;
const GAP: f64 = 9.0;
/// The place where bars begin, behind the names; figures stand behind the other.
const FROM: f64 = 104.0;
const UNTIL: f64 = WIDTH - 84.0;

/// A panel for each need that has figures.
pub(super) fn of(report: &Report) -> Markup {
    let drawn = report.needs.iter().filter_map(|need| Some((need, need.by.as_ref()?)));
    html! {
        div.picture {
            @for (at, (need, by)) in drawn.enumerate() { (panel(report, need, by, at)) }
        }
    }
}

fn panel(report: &Report, need: &Need, by: &Metric, at: usize) -> Markup {
    let bars: Vec<(&Placed, &Estimate)> =
        need.places.iter().filter_map(|placed| Some((placed, placed.estimate.as_ref()?))).collect();
    let most = bars.iter().map(|(_, estimate)| estimate.high).fold(0.0, f64::max);
    let height = HEAD + BAR * bars.len() as f64 + GAP;
    let better = if by.more_is_better() { "longer is better" } else { "shorter is better" };
    let told: Vec<String> = bars
        .iter()
        .map(|(placed, estimate)| {
            format!("{} {}{}", placed.contestant, shown(by, estimate.median), word(placed.place))
        })
        .collect();
    let body = html! {
        text class=(if need.result == NeedResult::Leads { "strong" } else { "" }) x="0" y="12" { (short(&need.heading, 34)) }
        text.tick x=(WIDTH) y="12" text-anchor="end" { (fitting(&by.label(), beside(&need.heading))) }
        @for (row, (placed, estimate)) in bars.iter().enumerate() {
            (bar(report, by, placed, estimate, HEAD + BAR * row as f64, most))
        }
    };
    drawing(
        &format!("need-{at}"),
        height,
        &format!("{}: {}, {better}", need.heading, by.label()),
        &format!("{}.", told.join("; ")),
        &body,
    )
}

/// A label in so many letters: what stands in brackets at its end goes first.
fn fitting(label: &str, most: usize) -> String {
    let plain = label.split(" (").next().unwrap_or(label);
    short(if label.chars().count() > most { plain } else { label }, most)
}

/// The letters of a label that have room beside a heading, which is in larger ones.
fn beside(heading: &str) -> usize {
    let heading = heading.chars().count().min(34) as f64 * 7.2;
    ((WIDTH - heading) / 6.0).max(0.0) as usize
}

fn bar(report: &Report, by: &Metric, placed: &Placed, estimate: &Estimate, top: f64, most: f64) -> Markup {
    let name = placed.contestant.as_str();
    let at = |value: f64| FROM + if most > 0.0 { value / most * (UNTIL - FROM) } else { 0.0 };
    let (middle, leads) = (top + BAR / 2.0, placed.place == Place::Leads);
    let colour = colour(report, name);
    html! {
        g fill=(colour) { (mark(report, name, 6.0, middle)) }
        text class=(if leads { "tick strong" } else { "tick" }) x="15" y=(px(middle + 4.0)) { (short(name, 14)) }
        rect x=(px(FROM)) y=(px(top + 2.5)) width=(px((at(estimate.median) - FROM).max(1.0))) height=(px(BAR - 5.0))
            fill=(colour) fill-opacity=(if leads { "0.95" } else { "0.4" }) {}
        @if estimate.n > 1 {
            line.whisker x1=(px(at(estimate.low))) x2=(px(at(estimate.high))) y1=(px(middle)) y2=(px(middle)) {}
            @for end in [estimate.low, estimate.high] {
                line.whisker x1=(px(at(end))) x2=(px(at(end))) y1=(px(middle - 3.0)) y2=(px(middle + 3.0)) {}
            }
        }
        text class=(if leads { "tick strong" } else { "tick" }) x=(WIDTH) y=(px(middle + 4.0)) text-anchor="end" {
            (shown(by, estimate.median)) (word(placed.place))
        }
    }
}

fn shown(by: &Metric, value: f64) -> String {
    match by.unit() {
        "" => plain(value),
        "ms" => format!("{} ms", number(value)),
        unit => format!("{}{unit}", number(value)),
    }
}

/// The mark of a place; nothing for one that has none.
fn word(place: Place) -> &'static str {
    match place {
        Place::Leads => " ✓",
        Place::Barred => " ✗",
        Place::Equal | Place::Behind | Place::NotTold => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_has_in_brackets_goes_before_its_words_do() {
        let label = "effective shards (rows)";
        assert_eq!([30, 19, 9].map(|most| fitting(label, most)), [label, "effective shards", "effectiv…"]);
    }
}
