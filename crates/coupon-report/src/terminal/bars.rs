//! The needs as bars: who leads in what, at a glance.

use std::io;

use coupon_measure::format::{number, plain};
use coupon_measure::stats::Estimate;

use super::text::Page;
use crate::Report;
use crate::model::{Metric, Need, Place, Placed};

/// The longest name that is not cut.
const NAME: usize = 18;
/// The room for a figure with its interval.
const FIGURE: usize = 24;

/// Each need with a bar for every contestant, longest for the largest figure.
pub(super) fn print(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    for need in &report.needs {
        let Some(by) = &need.by else { continue };
        let better = if by.more_is_better() { "more" } else { "less" };
        let unit = if by.unit().is_empty() { String::new() } else { format!(", {}", by.unit()) };
        page.wrapped(&format!("{}: {}{unit}, {better} is better", need.heading, by.label()), 2, 4)?;
        bars(need, by, page)?;
    }
    if report.needs.iter().any(|need| need.by.is_some()) {
        page.wrapped(
            "* leads: it was shown to be better than another, and nobody to be better than it.",
            2,
            4,
        )?;
    }
    Ok(())
}

fn bars(need: &Need, by: &Metric, page: &mut Page<'_>) -> io::Result<()> {
    let shown: Vec<(&Placed, &Estimate)> =
        need.places.iter().filter_map(|placed| Some((placed, placed.estimate.as_ref()?))).collect();
    let most = shown.iter().map(|(_, estimate)| estimate.median).fold(0.0, f64::max);
    let widest = shown.iter().map(|(placed, _)| placed.contestant.chars().count()).max().unwrap_or(0);
    let name_room = widest.min(NAME);
    let bar_room = page.columns().saturating_sub(4 + name_room + 3 + FIGURE).max(4);
    for (placed, estimate) in shown {
        let name: String = placed.contestant.chars().take(name_room).collect();
        let part = if most > 0.0 { estimate.median / most } else { 0.0 };
        let length = ((part * bar_room as f64).round() as usize).clamp(1, bar_room);
        let mark = match placed.place {
            Place::Leads => '*',
            Place::Barred => 'x',
            Place::Equal | Place::Behind | Place::NotTold => ' ',
        };
        let bar = "█".repeat(length);
        page.line(&format!("  {mark} {name:<name_room$} {bar} {}", figure(by, estimate)))?;
    }
    Ok(())
}

fn figure(by: &Metric, estimate: &Estimate) -> String {
    let shown = if by.unit().is_empty() { plain } else { number };
    let median = shown(estimate.median);
    let (low, high) = (shown(estimate.low), shown(estimate.high));
    if low == median && high == median { median } else { format!("{median} ({low}–{high})") }
}
