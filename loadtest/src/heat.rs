//! Hot keys of a load: those of the grabs that were granted, over time.

use std::ops::RangeInclusive;

use coupon_core::{Day, Mix, ResultId, SLOTS};
pub(crate) use coupon_lab::growth::HOT;
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_measure::grid::{Grid, RANGES};
use coupon_measure::recent::Top;
use coupon_measure::sketch::Frequent;
use coupon_report::model::{Heat, HeatMap, HeatRange, HotKey, Reading};

/// The rooms, coupons and users that are named.
const NAMED: usize = 10;

/// Counts of a load's grabs, in bounded room.
#[derive(Debug)]
pub(crate) struct KeyHeat {
    granted: u64,
    rooms: Grid,
    user_slots: Grid,
    days: Grid,
    /// The day of the first grab, from which days count.
    first_day: Option<Day>,
    hot_rooms: Frequent<u64>,
    hot_coupons: Frequent<u64>,
    hot_users: Frequent<u64>,
}

impl Default for KeyHeat {
    fn default() -> Self {
        let frequent = Frequent::default;
        Self {
            granted: 0,
            rooms: Grid::new(1),
            user_slots: Grid::new(u64::from(SLOTS) / RANGES as u64),
            days: Grid::new(1),
            first_day: None,
            hot_rooms: frequent(),
            hot_coupons: frequent(),
            hot_users: frequent(),
        }
    }
}

impl KeyHeat {
    /// Counts those of the grabs that were granted.
    pub(crate) fn add(&mut self, grabs: &[GrabRecord]) {
        for grab in grabs {
            let GrabOutcome::Granted { result_id } = grab.outcome else { continue };
            let GrabRecord { user_id, coupon_id, room_id, at, .. } = *grab;
            self.granted += 1;
            if let Some(room) = room_id {
                self.rooms.add(room, at);
                self.hot_rooms.add(&room);
            }
            self.user_slots.add(Mix::Xxh3.hash(user_id) % u64::from(SLOTS), at);
            if let Ok(id) = ResultId::from_number(result_id) {
                let day = id.time().day();
                let first = *self.first_day.get_or_insert(day);
                self.days.add(u64::try_from(day.number() - first.number()).unwrap_or(0), at);
            }
            self.hot_coupons.add(&coupon_id);
            self.hot_users.add(&user_id);
        }
    }

    /// All of it, as reports have it.
    pub(crate) fn heat(&self) -> Reading<Heat> {
        if self.granted == 0 {
            return Reading::unknown("no grab was granted");
        }
        let first = self.first_day.unwrap_or(Day::new(0));
        let date = |day: u64| Day::new(first.number().saturating_add_unsigned(day)).to_string();
        let days = |days: RangeInclusive<u64>| match (*days.start(), *days.end()) {
            (one, last) if one == last => date(one),
            (one, last) => format!("{} to {}", date(one), date(last)),
        };
        Reading::Known(Heat {
            granted: self.granted,
            hot_rooms: most(&self.hot_rooms),
            hot_coupons: most(&self.hot_coupons),
            hot_users: most(&self.hot_users),
            // There is no room 0.
            rooms: map(&self.rooms, |ids| numbers((*ids.start()).max(1)..=*ids.end())),
            user_slots: map(&self.user_slots, numbers),
            days: map(&self.days, days),
        })
    }
}

fn numbers(range: RangeInclusive<u64>) -> String {
    let (first, last) = range.into_inner();
    if first == last { first.to_string() } else { format!("{first}–{last}") }
}

fn map(grid: &Grid, name: impl Fn(RangeInclusive<u64>) -> String) -> HeatMap {
    let width = grid.width();
    let keys = (0..).map(|range: u64| {
        let first = range.saturating_mul(width);
        first..=first.saturating_add(width - 1)
    });
    let ranges = grid.rows().into_iter().zip(keys);
    HeatMap {
        step_s: grid.step().as_secs_f64(),
        ranges: ranges.map(|(row, keys)| HeatRange { name: name(keys), granted: row.to_vec() }).collect(),
    }
}

fn most(frequent: &Frequent<u64>) -> Vec<HotKey> {
    let mut top = Top::default();
    top.add(frequent);
    let all = top.all().max(1) as f64;
    let key = |id, granted| HotKey { id, granted, share: granted as f64 / all };
    let keys = top.most(NAMED).into_iter().map(|often| key(often.value, often.least));
    // What came once is not hot, be the load as small as it may.
    keys.filter(|key| key.granted > 1 && key.share >= HOT).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coupon_core::Timestamp;

    use super::*;

    const NOON: &str = "2026-11-22T12:00:00Z";

    fn heat(keys: &KeyHeat) -> Heat {
        keys.heat().known().unwrap().clone()
    }

    fn grab(user_id: u64, room_id: u64, seconds: u64, day: i64) -> GrabRecord {
        let time: Timestamp = NOON.parse().unwrap();
        let id = ResultId::from_parts(time.plus_millis(day * 86_400_000), 1, 0).unwrap();
        GrabRecord {
            user_id,
            coupon_id: room_id * 10,
            room_id: Some(room_id),
            request: None,
            outcome: GrabOutcome::Granted { result_id: id.number() },
            at: Duration::from_secs(seconds),
            held: None,
            told_at: time,
        }
    }

    #[test]
    fn a_hot_room_is_named_and_stands_where_and_when_it_was_hot() {
        let mut keys = KeyHeat::default();
        let even = (1..=100).map(|room| grab(room, room, room % 10, 0));
        let burst = (0..300).map(|user| grab(1_000 + user, 42, 7, 0));
        keys.add(&even.chain(burst).collect::<Vec<_>>());
        let heat = heat(&keys);
        assert_eq!((heat.granted, heat.rooms.ranges.len()), (400, 26));
        let [hot] = heat.hot_rooms.as_slice() else { panic!("{:?}", heat.hot_rooms) };
        assert_eq!((hot.id, hot.granted), (42, 301));
        assert!((hot.share - 301.0 / 400.0).abs() < 1e-9);
        assert_eq!(heat.hot_coupons[0].id, 420);
        assert!(heat.hot_users.is_empty());
        let range = &heat.rooms.ranges[10];
        assert_eq!((range.name.as_str(), heat.rooms.step_s), ("40–43", 0.25));
        assert_eq!((range.granted[28], heat.rooms.most()), (300, 300));
        assert_eq!(heat.rooms.ranges[0].name, "1–3");
    }

    #[test]
    fn a_load_across_midnight_has_two_days() {
        let mut keys = KeyHeat::default();
        keys.add(&[grab(1, 1, 0, 0), grab(2, 1, 1, 1)]);
        let days = heat(&keys).days;
        let names: Vec<&str> = days.ranges.iter().map(|range| range.name.as_str()).collect();
        assert_eq!(names, ["2026-11-22", "2026-11-23"]);
        assert_eq!(days.ranges[1].granted, [0, 0, 0, 0, 1]);
    }

    #[test]
    fn users_fill_all_slots_and_nothing_granted_is_no_heat() {
        let mut keys = KeyHeat::default();
        let refused = GrabRecord {
            outcome: GrabOutcome::Unknown(coupon_loadgen::load::Unknown::Cut),
            ..grab(1, 1, 0, 0)
        };
        keys.add(&[refused]);
        assert_eq!(keys.heat().reason(), Some("no grab was granted"));
        keys.add(&(1..=3_000).map(|user| grab(user, 1, 0, 0)).collect::<Vec<_>>());
        let slots = heat(&keys).user_slots;
        assert_eq!((slots.ranges.len(), slots.ranges[31].name.as_str()), (32, "15872–16383"));
        assert!(slots.ranges.iter().all(|range| range.granted[0] > 40), "{slots:?}");
    }
}
