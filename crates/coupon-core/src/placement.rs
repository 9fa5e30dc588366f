//! Places of rows: a shard, and one table on it.

use std::fmt;

use serde::Serialize;

use crate::{Day, Hour, RoomId};

/// A shard by its number, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number, to look something up in a list of shards.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One physical table of results. A closed set: no table name is ever made from text that came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableId {
    /// `coupon_results`: the only table of its shard.
    Single,
    /// `coupon_results_2026_11_22`: the results of one UTC day.
    Day(Day),
    /// `coupon_results_2026_11_22_15`: the results of one UTC hour.
    Hour(Hour),
    /// `coupon_results_room_1_25`, or `coupon_results_room_76_up` without an upper end: a range of rooms.
    Rooms {
        /// The first room within.
        first: RoomId,
        /// The last room within, if there is one.
        last: Option<RoomId>,
    },
    /// `coupon_results_p7`: for strategies that number their tables.
    Part(u32),
}

impl TableId {
    /// The beginning of every results table's name; a suffix makes each unique.
    pub const PREFIX: &str = "coupon_results";

    /// Reads a table name back; `None` for a name that is no table of results.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(Self::PREFIX)?;
        let parts: Vec<&str> = rest.split('_').skip(1).collect();
        let table = match parts.as_slice() {
            [] => Self::Single,
            ["room", first, "up"] => Self::Rooms { first: first.parse().ok()?, last: None },
            ["room", first, last] => {
                Self::Rooms { first: first.parse().ok()?, last: Some(last.parse().ok()?) }
            }
            [y, m, d] => Self::Day(format!("{y}-{m}-{d}").parse().ok()?),
            [y, m, d, h] => {
                let day: Day = format!("{y}-{m}-{d}").parse().ok()?;
                let hour = h.parse::<i64>().ok().filter(|hour| (0..24).contains(hour))?;
                Self::Hour(Hour::new(day.number() * 24 + hour))
            }
            [part] => Self::Part(part.strip_prefix('p')?.parse().ok()?),
            _ => return None,
        };
        // One spelling a table: "room_01_25" would name a second table for the same rooms.
        (table.to_string() == name).then_some(table)
    }

    /// The day whose rows the table holds, if it holds those of one day only.
    #[must_use]
    pub const fn day(self) -> Option<Day> {
        match self {
            Self::Day(day) => Some(day),
            Self::Hour(hour) => Some(hour.day()),
            Self::Single | Self::Rooms { .. } | Self::Part(_) => None,
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |day: Day| day.to_string().replace('-', "_");
        match self {
            Self::Single => f.write_str(Self::PREFIX),
            Self::Day(at) => write!(f, "{}_{}", Self::PREFIX, day(*at)),
            Self::Hour(hour) => write!(f, "{}_{}_{:02}", Self::PREFIX, day(hour.day()), hour.of_day()),
            Self::Rooms { first, last: Some(last) } => write!(f, "{}_room_{first}_{last}", Self::PREFIX),
            Self::Rooms { first, last: None } => write!(f, "{}_room_{first}_up", Self::PREFIX),
            Self::Part(number) => write!(f, "{}_p{number}", Self::PREFIX),
        }
    }
}

/// The place of a row: a shard, and one table on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placement {
    /// The shard.
    pub shard: ShardId,
    /// The table on that shard.
    pub table: TableId,
}

impl Placement {
    /// The given table on the given shard.
    #[must_use]
    pub const fn new(shard: ShardId, table: TableId) -> Self {
        Self { shard, table }
    }

    /// The one table of a shard that has only one.
    #[must_use]
    pub const fn single(shard: ShardId) -> Self {
        Self { shard, table: TableId::Single }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}, table {}", self.shard, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_name_reads_back_as_the_same_table() {
        let day: Day = "2026-11-22".parse().unwrap();
        let room = |id| RoomId::new(id).unwrap();
        for (table, name) in [
            (TableId::Single, "coupon_results"),
            (TableId::Day(day), "coupon_results_2026_11_22"),
            (TableId::Hour(Hour::new(day.number() * 24 + 5)), "coupon_results_2026_11_22_05"),
            (TableId::Rooms { first: room(1), last: Some(room(25)) }, "coupon_results_room_1_25"),
            (TableId::Rooms { first: room(76), last: None }, "coupon_results_room_76_up"),
            (TableId::Part(7), "coupon_results_p7"),
        ] {
            assert_eq!(table.to_string(), name);
            assert_eq!(TableId::parse(name), Some(table));
        }
    }

    #[test]
    fn a_name_spelt_otherwise_is_no_table() {
        for name in [
            "users",
            "coupon_results_",
            "coupon_results_room_01_25",
            "coupon_results_2026_13_01",
            "coupon_results_p",
        ] {
            assert_eq!(TableId::parse(name), None, "{name}");
        }
    }
}
