//! Hot keys, as the page shows them.

use coupon_measure::format;
use coupon_report::model::{Heat, HeatMap, HeatRange};
use coupon_service::api::{HotKeys, HotResults};
use serde::Serialize;

use crate::heat::HOT;

/// The rooms, coupons and users that are named.
const NAMED: usize = 4;

/// A map of range of keys × time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Map {
    /// The kind of key, for people.
    name: &'static str,
    /// Its first range and its last.
    ranges: (String, String),
    /// The time that it reaches over.
    seconds: f64,
    /// A line for each range, of a digit for each step: 0 for none, 9 for the most of all.
    shades: Vec<String>,
}

/// The maps of a load so far.
pub(super) fn maps(heat: &Heat) -> Vec<Map> {
    vec![map("room", &heat.rooms), map("slot of the user", &heat.user_slots), map("day", &heat.days)]
}

fn map(name: &'static str, map: &HeatMap) -> Map {
    let most = map.most();
    let end = |range: Option<&HeatRange>| range.map(|range| range.name.clone()).unwrap_or_default();
    let line = |granted: &Vec<u64>| granted.iter().map(|granted| shade(*granted, most)).collect();
    Map {
        name,
        ranges: (end(map.ranges.first()), end(map.ranges.last())),
        seconds: map.step_s * map.steps() as f64,
        shades: map.ranges.iter().map(|range| line(&range.granted)).collect(),
    }
}

/// Any at all is seen.
fn shade(granted: u64, most: u64) -> char {
    let digit = (granted.saturating_mul(9)).div_ceil(most.max(1));
    u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('9')
}

/// The hot keys, by name; nothing before there was any result.
pub(super) fn lines(hot: &HotResults) -> Vec<String> {
    if hot.results == 0 {
        return Vec::new();
    }
    let line = |name: &str, keys: &HotKeys| {
        let hot = keys.top.iter().filter(|key| key.share >= HOT).take(NAMED);
        let named = hot.map(|key| format!("{} ({})", key.id, format::percent(key.share)));
        let named = named.collect::<Vec<_>>().join(", ");
        if named.is_empty() { format!("{name}: none stands out") } else { format!("{name}: {named}") }
    };
    vec![line("rooms", &hot.rooms), line("coupons", &hot.coupons), line("users", &hot.users)]
}

#[cfg(test)]
mod tests {
    use coupon_service::api::HotKey;

    use super::*;

    #[test]
    fn a_map_has_a_digit_for_each_step_of_each_range() {
        let range =
            |name: &str, granted: &[u64]| HeatRange { name: name.to_owned(), granted: granted.to_vec() };
        let rooms =
            HeatMap { step_s: 0.5, ranges: vec![range("1–3", &[0, 1, 900]), range("4–7", &[450, 0, 0])] };
        let maps = maps(&Heat { rooms, ..Heat::default() });
        assert_eq!((maps[0].shades.join(" ").as_str(), maps[0].seconds), ("019 500", 1.5));
        assert_eq!(maps[0].ranges, ("1–3".to_owned(), "4–7".to_owned()));
        assert_eq!(maps[1].shades, Vec::<String>::new());
    }

    #[test]
    fn what_is_hot_is_told_by_name_and_a_kind_of_which_none_is_says_so() {
        let key = |id, results: u64| HotKey { id, results, share: results as f64 / 200.0 };
        let rooms = HotKeys { error: 0, top: (1..=9).map(|room| key(room, 100 / room)).collect() };
        let hot = HotResults { results: 200, rooms, ..HotResults::default() };
        let found = lines(&hot);
        assert_eq!(found[0], "rooms: 1 (50 %), 2 (25 %), 3 (16.5 %), 4 (12.5 %)");
        assert_eq!(found[1..], ["coupons: none stands out", "users: none stands out"]);
        assert!(lines(&HotResults::default()).is_empty());
    }
}
