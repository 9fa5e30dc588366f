//! Hot keys, by name, and maps of range of keys × time.

use coupon_measure::format::{count, number, percent};
use maud::{Markup, html};

use super::counts::{Counts, LEFT, RIGHT};
use super::marks::name;
use super::svg::{data, drawing, panel, px, tick};
use crate::Report;
use crate::model::{Contestant, Heat, HeatMap, HotKey, Reading};

/// The height of a map of 32 ranges.
const HEIGHT: f64 = 112.0;
/// The height of a map's heading.
const HEAD: f64 = 20.0;
/// The most that are named in a sentence.
const NAMED: usize = 5;

/// Names for the whole load, and maps for each contestant.
pub(super) fn section(report: &Report) -> Markup {
    let heats = || report.contestants.iter().filter_map(|contestant| contestant.heat.known());
    let most = Most::over(heats());
    html! {
        section id="heat" {
            h2 { "What was hot" }
            p.key {
                "Grabs granted by range of keys, downwards, and by time. A band across a map is a range that stays hot; where a \
                 strategy puts neighbouring keys on one shard, it is that shard's work. By the slot of a user's hash everything \
                 is alike unless few users do most; by day all of a run is one band. Rounds are laid on one another, and maps of \
                 a kind share one scale."
            }
            @if let Some(heat) = heats().next() { (names(heat)) }
            div.panels {
                @for (at, contestant) in report.contestants.iter().enumerate() {
                    @match &contestant.heat {
                        Reading::Known(heat) => (panel(&caption(report, contestant, heat), &maps(contestant, heat, &most, at))),
                        Reading::Unknown(why) => (panel(&html! { (name(report, &contestant.name)) }, &html! { p.soft { "n/a: " (why) } })),
                    }
                }
            }
        }
    }
}

/// The most in any cell, over all contestants.
#[derive(Debug, Default)]
struct Most {
    rooms: u64,
    user_slots: u64,
    days: u64,
}

impl Most {
    fn over<'a>(heats: impl Iterator<Item = &'a Heat>) -> Self {
        heats.fold(Self::default(), |most, heat| Self {
            rooms: most.rooms.max(heat.rooms.most()),
            user_slots: most.user_slots.max(heat.user_slots.most()),
            days: most.days.max(heat.days.most()),
        })
    }
}

/// All contestants had the same requests: the first one's names are those of the load.
fn names(heat: &Heat) -> Markup {
    html! {
        ul.meaning {
            @for (kind, keys) in kinds(heat) { li { "The hottest " (kind) " of this run: " (listed(keys)) "." } }
        }
    }
}

fn kinds(heat: &Heat) -> [(&'static str, &[HotKey]); 3] {
    [("rooms", &heat.hot_rooms), ("coupons", &heat.hot_coupons), ("users", &heat.hot_users)]
}

fn listed(keys: &[HotKey]) -> String {
    let named = keys.iter().take(NAMED).map(|key| format!("{} ({})", key.id, percent(key.share)));
    let named = named.collect::<Vec<_>>().join(", ");
    if named.is_empty() { "none stands out".to_owned() } else { named }
}

fn caption(report: &Report, contestant: &Contestant, heat: &Heat) -> Markup {
    html! { (name(report, &contestant.name)) small { (count(heat.granted)) " grabs granted" } }
}

/// A contestant's three maps, one below the other.
fn maps(contestant: &Contestant, heat: &Heat, most: &Most, number_of_drawing: usize) -> Markup {
    let parts = [
        ("by room", &heat.rooms, most.rooms),
        ("by slot of the user", &heat.user_slots, most.user_slots),
        ("by day", &heat.days, most.days),
    ];
    let mut top = 0.0;
    let placed = parts.map(|(title, map, most)| {
        let (from, counts) = (top, counts(map));
        top += HEAD + counts.height() + 6.0;
        (title, map, counts, most, from)
    });
    let title = format!("Grabs granted by {}, by range of keys and time", contestant.name);
    let told: Vec<String> = placed.iter().map(|(title, map, ..)| summary(title, map)).collect();
    let seconds = heat.rooms.step_s * heat.rooms.steps() as f64;
    let rounds = contestant.rounds.len().max(1) as f64;
    let body = html! {
        @for (title, map, counts, most, from) in placed {
            text x="0" y=(px(from + 13.0)) { (title) }
            text.tick x=(px(RIGHT)) y=(px(from + 13.0)) text-anchor="end" { "darkest: " (number(busiest(map, most, rounds))) "/s" }
            (counts.drawn(most, from + HEAD))
        }
        @for (part, anchor) in [(0.0, "start"), (0.5, "middle"), (1.0, "end")] {
            text.tick x=(px(LEFT + part * (RIGHT - LEFT))) y=(px(top + 10.0)) text-anchor=(anchor) {
                (tick((part * seconds * 10.0).round() / 10.0)) @if part == 0.5 { " seconds" }
            }
        }
    };
    html! {
        (drawing(&format!("heat-{number_of_drawing}"), top + 16.0, &title, &told.join(" "), &body))
        (table(heat))
    }
}

fn counts(map: &HeatMap) -> Counts<'_> {
    let ranges = map.ranges.iter().map(|range| (range.name.as_str(), range.granted.as_slice()));
    Counts { ranges: ranges.collect(), height: HEIGHT }
}

/// The rate of a cell that has the most, a second of one round.
fn busiest(map: &HeatMap, most: u64, rounds: f64) -> f64 {
    most as f64 / map.step_s.max(f64::MIN_POSITIVE) / rounds
}

/// A map in words.
fn summary(title: &str, map: &HeatMap) -> String {
    let sum = |granted: &[u64]| granted.iter().sum::<u64>();
    let hottest = map.ranges.iter().max_by_key(|range| sum(&range.granted));
    let hottest = hottest.map(|range| format!("{}, with {}", range.name, count(sum(&range.granted))));
    format!(
        "{title}: {} ranges, the hottest {}.",
        map.ranges.len(),
        hottest.unwrap_or_else(|| "none".to_owned())
    )
}

fn table(heat: &Heat) -> Markup {
    let rows: Vec<Vec<String>> = kinds(heat)
        .into_iter()
        .flat_map(|(kind, keys)| {
            let singular = kind.trim_end_matches('s');
            let line = move |key: &HotKey| {
                vec![format!("{singular} {}", key.id), count(key.granted), percent(key.share)]
            };
            keys.iter().map(line)
        })
        .collect();
    data(&["", "granted", "share"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_which_none_is_hot_says_so() {
        assert_eq!(listed(&[]), "none stands out");
        let key = HotKey { id: 3, granted: 5, share: 0.25 };
        assert_eq!(listed(&[key]), "3 (25 %)");
    }
}
