//! The auditor's own law of where rows belong, read from a data set's layout line.
//!
//! The services route by code of their own. It is written down here a second time on purpose, and both are held to
//! the same golden vectors (`crates/coupon-core/golden/placement.json`).
//!
//! - *hash of user_id*: slot = hash % 16,384, shard = slot % shards. A shard has one table.
//! - *grown from a, b*: shard = slot % a; then slots were moved when there were b shards, and again when there were those of the
//!   end of the line. Each time the first shards had one slot more than the others where they were not all alike; each kept its
//!   lowest slots up to so many, and the others went, in ascending order, to the shards that had too few, in ascending order.
//! - *range of time*: one table a UTC day or hour; range d, counted from 1970, begins on shard d % shards.
//! - *range of room_id*: one table a range of rooms; range i, counted from 0, begins on shard i % shards, or on shard s where
//!   its first room is followed by `@s`. Those listed *up to* a room are followed by ranges that are all as wide, and numbered
//!   as if all were.
//! - *spread w*: a range lies on w shards, from the one where it begins; a user's rows on the one of hash % w.
//! - *lanes by an engine's xxhash of user_id*: XXH64 of the id's decimal digits; its lowest byte × shards / 256 is the lane,
//!   which such a layout calls a shard. There is one table.

use coupon_core::{Placement, RoomId, ShardId, TableId, Timestamp, UserId};
use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh64::xxh64;

const SLOTS: u64 = 16_384;
const BYTE: u64 = 256;
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// A layout that the auditor can judge by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Law {
    rule: Rule,
    /// The number of shards that a range lies on.
    spread: u64,
    shards: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// By a user's hash, which is the id itself where it is not mixed.
    User {
        mixed: bool,
        /// The shard of each slot, where slots were moved.
        moved: Option<Vec<u16>>,
    },
    /// By the place of a user in an engine's keyspace.
    Lane,
    Day,
    Hour,
    /// Ranges of so many rooms each.
    Rooms(u64),
    /// The first room of each range, ascending from 1.
    Starts(Vec<u64>),
    /// The first room of each range, and the shard where it begins; the end of the last and the width of those after it.
    Named(Vec<(u64, u64)>, Option<(u64, u64)>),
}

impl Law {
    /// The number of shards that it spreads rows over.
    pub(crate) const fn shards(&self) -> u64 {
        self.shards
    }

    /// True where its shards are the lanes of an engine.
    #[cfg(feature = "servers")]
    pub(crate) fn is_by_lane(&self) -> bool {
        self.rule == Rule::Lane
    }

    /// The law of a layout; `None` for a layout that the auditor has no law for.
    pub(crate) fn of(layout: &str) -> Option<Self> {
        let (rule, count) = layout.strip_suffix(" shards")?.rsplit_once(", ")?;
        let shards: u64 =
            count.parse().ok().filter(|shards: &u64| *shards > 0 && count == shards.to_string())?;
        if let Some(mix) = rule.strip_prefix("hash of user_id, mix ") {
            let (mix, moved) = match mix.split_once(", grown from ") {
                Some((mix, counts)) => (mix, Some(grown(counts, shards)?)),
                None => (mix, None),
            };
            let mixed = match mix {
                "xxh3" => true,
                "modulo" => false,
                _ => return None,
            };
            return Some(Self { rule: Rule::User { mixed, moved }, spread: 1, shards });
        }
        if rule == "lanes by an engine's xxhash of user_id" {
            let possible = shards.is_power_of_two() && shards <= BYTE;
            return possible.then_some(Self { rule: Rule::Lane, spread: 1, shards });
        }
        let (range, spread) = rule.rsplit_once(", spread ")?;
        let spread = spread.parse().ok().filter(|spread| (1..=shards).contains(spread))?;
        let rule = match range.strip_prefix("range of time, one table a UTC ") {
            Some("day") => Rule::Day,
            Some("hour") => Rule::Hour,
            Some(_) => return None,
            None => rooms(range.strip_prefix("range of room_id, ")?, shards)?,
        };
        Some(Self { rule, spread, shards })
    }

    /// The place where a row belongs; `None` for one that has no place.
    pub(crate) fn place(&self, user: UserId, room: RoomId, time: Timestamp) -> Option<Placement> {
        let since_1970 = |length: i64| u64::try_from(time.millis().div_euclid(length)).ok();
        let (range, table) = match &self.rule {
            Rule::User { mixed, moved } => {
                let slot = if *mixed { hash(user) } else { user.get() } % SLOTS;
                match moved {
                    Some(shards) => (u64::from(*shards.get(usize::try_from(slot).ok()?)?), TableId::Single),
                    None => (slot, TableId::Single),
                }
            }
            Rule::Lane => (lane_of(user.get(), self.shards), TableId::Single),
            Rule::Day => (since_1970(DAY_MS)?, TableId::Day(time.day())),
            Rule::Hour => (since_1970(HOUR_MS)?, TableId::Hour(time.hour())),
            Rule::Rooms(width) => wide(room, *width)?,
            Rule::Named(_, Some((last, width))) if room.get() > *last => wide(room, *width)?,
            Rule::Named(ranges, after) => {
                let next = ranges.partition_point(|(start, _)| *start <= room.get());
                let (first, shard) = *ranges.get(next.checked_sub(1)?)?;
                let last = ranges.get(next).map(|(next, _)| next - 1).or(after.map(|(last, _)| last));
                let last = last.and_then(|last| RoomId::new(last).ok());
                (shard, TableId::Rooms { first: RoomId::new(first).ok()?, last })
            }
            Rule::Starts(starts) => {
                let next = starts.partition_point(|start| *start <= room.get());
                let number = next.checked_sub(1)?;
                let first = RoomId::new(*starts.get(number)?).ok()?;
                let last = starts.get(next).and_then(|next| RoomId::new(next - 1).ok());
                (number as u64, TableId::Rooms { first, last })
            }
        };
        let lane = if self.spread > 1 { hash(user) % self.spread } else { 0 };
        let shard = (range % self.shards + lane) % self.shards;
        Some(Placement::new(ShardId::new(u16::try_from(shard).ok()?), table))
    }
}

/// The lane of a user's id, of so many that an engine's keyspace is cut into.
pub(crate) fn lane_of(user: u64, lanes: u64) -> u64 {
    xxh64(user.to_string().as_bytes(), 0) % BYTE * lanes / BYTE
}

/// XXH3-64 of the id's eight little-endian bytes.
fn hash(user: UserId) -> u64 {
    xxh3_64(&user.get().to_le_bytes())
}

/// The range of a room where all ranges are so wide: its number, and its table.
fn wide(room: RoomId, width: u64) -> Option<(u64, TableId)> {
    let number = (room.get() - 1) / width;
    let first = RoomId::new(number * width + 1).ok()?;
    let last = RoomId::new(first.get().saturating_add(width - 1)).ok();
    Some((number, TableId::Rooms { first, last }))
}

/// The shard of each slot, once there were these numbers of shards one after the other, and so many in the end.
fn grown(counts: &str, shards: u64) -> Option<Vec<u16>> {
    let counts: Vec<u64> = counts.split(", ").map(|count| count.parse().ok()).collect::<Option<_>>()?;
    let first = counts.first().copied().filter(|first| *first > 0)?;
    let mut owners: Vec<u64> = (0..SLOTS).map(|slot| slot % first).collect();
    for count in counts.into_iter().skip(1).chain([shards]) {
        if count == 0 {
            return None;
        }
        let mut lacks: Vec<u64> =
            (0..count).map(|shard| SLOTS / count + u64::from(shard < SLOTS % count)).collect();
        let mut homeless = Vec::new();
        for (slot, owner) in owners.iter().enumerate() {
            match usize::try_from(*owner).ok().and_then(|owner| lacks.get_mut(owner)) {
                Some(lack) if *lack > 0 => *lack -= 1,
                _ => homeless.push(slot),
            }
        }
        let mut homeless = homeless.into_iter();
        for (shard, lack) in lacks.into_iter().enumerate() {
            for _ in 0..lack {
                *owners.get_mut(homeless.next()?)? = shard as u64;
            }
        }
    }
    owners.into_iter().map(|owner| u16::try_from(owner).ok()).collect()
}

/// Ranges whose first rooms are each followed by `@` and a shard.
fn named(list: &str, shards: u64, after: Option<(u64, u64)>) -> Option<Rule> {
    let range = |item: &str| {
        let (first, shard) = item.split_once('@')?;
        Some((first.parse().ok()?, shard.parse().ok().filter(|shard| *shard < shards)?))
    };
    let ranges: Vec<(u64, u64)> = list.split(", ").map(range).collect::<Option<_>>()?;
    let ascend =
        ranges.first().map(|(first, _)| *first) == Some(1) && ranges.is_sorted_by(|(a, _), (b, _)| a < b);
    let ends = |(last, width): (u64, u64)| {
        width > 0 && last % width == 0 && ranges.last().is_some_and(|(first, _)| *first <= last)
    };
    (ascend && after.is_none_or(ends)).then_some(Rule::Named(ranges, after))
}

fn rooms(ranges: &str, shards: u64) -> Option<Rule> {
    if let Some(list) = ranges.strip_prefix("starting at rooms ")
        && list.contains('@')
    {
        return match list.split_once(" up to ") {
            None => named(list, shards, None),
            Some((list, after)) => {
                let (last, width) = after.strip_suffix(" rooms each")?.split_once(", then ")?;
                named(list, shards, Some((last.parse().ok()?, width.parse().ok()?)))
            }
        };
    }
    if let Some(width) = ranges.strip_suffix(" rooms each") {
        return width.parse().ok().filter(|width| *width > 0).map(Rule::Rooms);
    }
    let starts: Vec<u64> = ranges
        .strip_prefix("starting at rooms ")?
        .split(", ")
        .map(|start| start.parse().ok())
        .collect::<Option<_>>()?;
    (starts.first() == Some(&1) && starts.is_sorted_by(|a, b| a < b)).then_some(Rule::Starts(starts))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A layout, and rows of which it is known where they lie: user, room, time, shard and table.
    #[derive(Deserialize)]
    struct Case {
        layout: String,
        shards: u64,
        rows: Vec<(u64, u64, String, u16, String)>,
    }

    #[test]
    fn rows_belong_where_the_golden_vectors_say() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../coupon-core/golden/placement.json")).unwrap();
        assert!(cases.len() >= 8);
        for Case { layout, shards, rows } in cases {
            let law = Law::of(&layout).unwrap_or_else(|| panic!("{layout}"));
            assert_eq!(law.shards(), shards, "{layout}");
            for (user, room, time, shard, table) in rows {
                let (user, room) = (UserId::new(user).unwrap(), RoomId::new(room).unwrap());
                let place = law.place(user, room, time.parse().unwrap()).unwrap();
                assert_eq!(
                    (place.shard.number(), place.table.to_string()),
                    (shard, table),
                    "{layout}: {user}, {time}"
                );
            }
        }
    }

    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        let law = Law::of("hash of user_id, mix xxh3, 4 shards").unwrap();
        let vectors = include_str!("../../../services/hash-svc/tests/golden.csv");
        let mut seen = 0;
        for row in vectors.lines().skip(1) {
            let fields: Vec<&str> = row.split(',').collect();
            let user = UserId::new(fields[0].parse().unwrap()).unwrap();
            assert_eq!(hash(user), u64::from_str_radix(fields[1], 16).unwrap(), "user {user}");
            let place = law.place(user, RoomId::new(1).unwrap(), Timestamp::from_millis(0)).unwrap();
            assert_eq!(place.shard.number().to_string(), fields[3], "user {user}");
            seen += 1;
        }
        assert!(seen >= 60);
    }

    #[test]
    fn a_layout_that_is_not_known_is_not_guessed() {
        for layout in [
            "jump of user_id, 3 shards",
            "hash of user_id, mix crc, 3 shards",
            "hash of user_id, mix xxh3, 0 shards",
            "hash of user_id, mix xxh3, 04 shards",
            "range of time, one table a UTC month, spread 1, 3 shards",
            "range of time, one table a UTC day, spread 4, 3 shards",
            "range of room_id, 0 rooms each, spread 1, 3 shards",
            "range of room_id, starting at rooms 2, 3, spread 1, 3 shards",
            "range of room_id, starting at rooms 1, 3, 3, spread 1, 3 shards",
            "range of room_id, starting at rooms 1@0, 3@3, spread 1, 3 shards",
            "range of room_id, starting at rooms 1@0, 3, spread 1, 3 shards",
            "range of room_id, starting at rooms 1@0, 3@1 up to 7, then 5 rooms each, spread 1, 3 shards",
            "range of room_id, starting at rooms 1@0, 8@1 up to 5, then 5 rooms each, spread 1, 3 shards",
            "hash of user_id, mix xxh3, grown from , 3 shards",
            "hash of user_id, mix xxh3, grown from 0, 3 shards",
            "lanes by an engine's xxhash of user_id, 3 shards",
            "lanes by an engine's xxhash of user_id, 512 shards",
            "",
        ] {
            assert_eq!(Law::of(layout), None, "{layout:?}");
        }
    }
}
