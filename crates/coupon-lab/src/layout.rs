//! Back from the line that describes a layout to the strategy that it describes.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::ShardingStrategy;

/// The strategy whose rows are laid out as that line says, with whatever settings, if it is one of this workspace's.
#[must_use]
pub fn strategy_of_layout(layout: &str, shards: NonZeroU16) -> Option<Arc<dyn ShardingStrategy>> {
    let (name, settings) = settings(layout, shards)?;
    let strategy = seeder::strategy(name, shards, &settings).ok()?;
    // Whatever was misread says something else of itself.
    (strategy.layout() == layout).then_some(strategy)
}

/// The strategy's name and its settings.
fn settings(layout: &str, shards: NonZeroU16) -> Option<(&'static str, Vec<String>)> {
    let parameters = layout.strip_suffix(&format!(", {shards} shards"))?;
    if let Some(mix) = parameters.strip_prefix("hash of user_id, mix ") {
        return Some(("hash", vec![format!("hash.mix={mix}")]));
    }
    let (ranges, spread) = parameters.rsplit_once(", spread ")?;
    let spread = format!("range.spread={spread}");
    if let Some(bucket) = ranges.strip_prefix("range of time, one table a UTC ") {
        return Some(("range-time", vec![format!("range.bucket={bucket}"), spread]));
    }
    let rooms = ranges.strip_prefix("range of room_id, ")?;
    let rooms = match (rooms.strip_suffix(" rooms each"), rooms.strip_prefix("starting at rooms ")) {
        (Some(width), _) => format!("range.room_width={width}"),
        (None, starts) => format!("range.boundaries=[{}]", starts?),
    };
    Some(("range-room", vec![rooms, spread]))
}

#[cfg(test)]
mod tests {
    use coupon_core::{RoomId, RowKey, UserId};

    use super::*;

    const THREE: NonZeroU16 = NonZeroU16::new(3).unwrap();

    #[test]
    fn every_setting_that_places_rows_is_found_again() {
        for (name, settings) in [
            ("hash", &[][..]),
            ("hash", &["hash.mix=modulo"]),
            ("range-time", &["range.bucket=hour", "range.spread=2"]),
            ("range-room", &["range.room_width=7"]),
            ("range-room", &["range.boundaries=[1,2,9]", "range.spread=3"]),
        ] {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let layout = seeder::strategy(name, THREE, &settings).unwrap().layout();
            assert_eq!(strategy_of_layout(&layout, THREE).map(|found| found.layout()), Some(layout));
        }
    }

    /// A layout, and rows of which it is known where they lie: user, room, time, shard and table.
    #[derive(serde::Deserialize)]
    struct Case {
        layout: String,
        shards: NonZeroU16,
        rows: Vec<(u64, u64, String, u16, String)>,
    }

    /// The auditor has a law of its own, and is held to the same file.
    #[test]
    fn strategies_place_rows_where_the_golden_vectors_say() {
        let golden = include_str!("../../coupon-core/golden/placement.json");
        for Case { layout, shards, rows } in serde_json::from_str::<Vec<Case>>(golden).unwrap() {
            let strategy = strategy_of_layout(&layout, shards).unwrap_or_else(|| panic!("{layout}"));
            for (user, room, time, shard, table) in rows {
                let (user, room) = (UserId::new(user).unwrap(), RoomId::new(room).unwrap());
                let place = strategy.place(&RowKey { user, room, time: time.parse().unwrap() }).unwrap();
                let placed = (place.shard.number(), place.table.to_string());
                assert_eq!(placed, (shard, table), "{layout}: user {user}, room {room}, {time}");
            }
        }
    }

    #[test]
    fn the_layout_of_somebody_elses_strategy_is_not_guessed() {
        for layout in ["jump of user_id, 3 shards", "hash of user_id, mix crc, 3 shards", ""] {
            assert!(strategy_of_layout(layout, THREE).is_none(), "{layout:?}");
        }
        assert!(strategy_of_layout("hash of user_id, mix xxh3, 4 shards", THREE).is_none());
    }
}
