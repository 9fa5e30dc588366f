//! What was hot, by name, and maps of range of keys × time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use coupon_measure::format::{count, number, percent};
use maud::{Markup, html};

use super::marks::name;
use super::svg::{WIDTH, data, drawing, panel, px, tick};
use crate::Report;
use crate::model::{Contestant, Heat, HeatMap, HotKey, Reading};

const LEFT: f64 = 82.0;
/// The height of a map of 32 ranges; one of few has rows of at most [`ROW_MOST`].
const HEIGHT: f64 = 112.0;
const ROW_MOST: f64 = 12.0;
/// The height of a map's heading.
const HEAD: f64 = 20.0;
/// The shades of a map: cells of one shade are one path, so that a page of many maps stays small.
const SHADES: u8 = 8;
/// So many are named in a sentence.
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
        let from = top;
        top += HEAD + row(map) * map.ranges.len() as f64 + 6.0;
        (title, map, most, from)
    });
    let title = format!("Grabs granted by {}, by range of keys and time", contestant.name);
    let told: Vec<String> = placed.iter().map(|(title, map, ..)| summary(title, map)).collect();
    let seconds = heat.rooms.step_s * heat.rooms.steps() as f64;
    let rounds = contestant.rounds.len().max(1) as f64;
    let body = html! {
        @for (title, map, most, from) in placed { (one(title, map, (most, rounds), from)) }
        @for (part, anchor) in [(0.0, "start"), (0.5, "middle"), (1.0, "end")] {
            text.tick x=(px(LEFT + part * (WIDTH - LEFT - 6.0))) y=(px(top + 10.0)) text-anchor=(anchor) {
                (tick((part * seconds * 10.0).round() / 10.0)) @if part == 0.5 { " seconds" }
            }
        }
    };
    html! {
        (drawing(&format!("heat-{number_of_drawing}"), top + 16.0, &title, &told.join(" "), &body))
        (table(heat))
    }
}

/// The height of a range.
fn row(map: &HeatMap) -> f64 {
    (HEIGHT / map.ranges.len().max(1) as f64).min(ROW_MOST)
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

/// A map, in which `most` is the darkest, of so many rounds.
fn one(title: &str, map: &HeatMap, (most, rounds): (u64, f64), from: f64) -> Markup {
    let (row, top) = (row(map), from + HEAD);
    let every = (12.0 / row).ceil() as usize; // Labels need 12 units each.
    let busiest = most as f64 / map.step_s.max(f64::MIN_POSITIVE) / rounds;
    html! {
        text x="0" y=(px(from + 13.0)) { (title) }
        text.tick x=(WIDTH - 6.0) y=(px(from + 13.0)) text-anchor="end" { "darkest: " (number(busiest)) "/s" }
        @for (at, range) in map.ranges.iter().enumerate().step_by(every) {
            text.tick x=(px(LEFT - 5.0)) y=(px(top + row * at as f64 + row.max(9.0) / 2.0 + 4.0)) text-anchor="end" { (range.name) }
        }
        rect.heat x=(px(LEFT)) y=(px(top)) width=(px(WIDTH - LEFT - 6.0)) height=(px(row * map.ranges.len() as f64)) fill-opacity="0.06" {}
        @for (shade, path) in paths(map, most, top) {
            path.heat d=(path) fill-opacity=(format!("{:.2}", f64::from(shade) / f64::from(SHADES))) {}
        }
    }
}

/// The cells of each shade, as one path.
fn paths(map: &HeatMap, most: u64, top: f64) -> BTreeMap<u8, String> {
    let (row, column) = (row(map), (WIDTH - LEFT - 6.0) / map.steps().max(1) as f64);
    let (width, height) = (px((column - 0.3).max(0.3)), px((row - 0.3).max(0.3)));
    let mut paths = BTreeMap::<u8, String>::new();
    for (range, granted) in map.ranges.iter().map(|range| &range.granted).enumerate() {
        for (step, granted) in granted.iter().enumerate().filter(|(_, granted)| **granted > 0) {
            let (x, y) = (px(LEFT + column * step as f64), px(top + row * range as f64));
            let path = paths.entry(shade(*granted, most)).or_default();
            // Writing to a String cannot fail.
            let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
    }
    paths
}

/// The shade of a cell that has some, from 1. The power lifts low counts out of the dark, where eyes tell shades apart badly.
fn shade(granted: u64, most: u64) -> u8 {
    let part = (granted as f64 / most.max(1) as f64).powf(0.6);
    ((part * f64::from(SHADES)).ceil() as u8).clamp(1, SHADES)
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
    use crate::model::HeatRange;

    fn map(ranges: &[&[u64]]) -> HeatMap {
        let range =
            |(at, granted): (usize, &&[u64])| HeatRange { name: at.to_string(), granted: granted.to_vec() };
        HeatMap { step_s: 0.25, ranges: ranges.iter().enumerate().map(range).collect() }
    }

    #[test]
    fn cells_of_one_shade_are_one_path_and_empty_ones_none() {
        let paths = paths(&map(&[&[100, 0, 100], &[0, 1, 100]]), 100, 0.0);
        let cells: Vec<(u8, usize)> =
            paths.iter().map(|(shade, path)| (*shade, path.matches('M').count())).collect();
        assert_eq!(cells, [(1, 1), (SHADES, 3)]);
    }

    #[test]
    fn a_single_grab_is_seen_beside_a_million() {
        assert_eq!((shade(1, 1_000_000), shade(1_000_000, 1_000_000)), (1, SHADES));
        assert!(shade(20, 100) > shade(5, 100));
    }

    #[test]
    fn a_kind_of_which_none_is_hot_says_so() {
        assert_eq!(listed(&[]), "none stands out");
        let key = HotKey { id: 3, granted: 5, share: 0.25 };
        assert_eq!(listed(&[key]), "3 (25 %)");
    }
}
