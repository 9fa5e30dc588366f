//! Ranges of rooms: one table a range, each on one shard.

mod placed;
mod range;
mod ranges;

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use coupon_core::{
    Growth, LayoutChange, LayoutChangeError, LayoutPattern, Piece, Placement, Plan, ResultQuery, RoomId,
    RouteError, RowKey, ShardingStrategy, TimeRange,
};
use coupon_service::AnyProgram as _;

use crate::Spread;

pub use placed::{Boundary, PlacedRange, PlacedRanges};
pub use ranges::RoomRanges;

use range::{RoomRange, listed};

/// Boundaries that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// A list without entries.
    #[error("the list is empty: leave it out for ranges of equal width")]
    Empty,
    /// The first range must begin with the first room.
    #[error("the first range must start at room 1, not {0}: rooms below it would have no place")]
    FirstIsNotOne(u64),
    /// A range that begins where, or before, the one before it does.
    #[error("each range must start above the one before it, but {next} follows {previous}")]
    NotAscending {
        /// The boundary before.
        previous: u64,
        /// The offender.
        next: u64,
    },
    /// A list of which only a part names shards.
    #[error("{0} names no shard and others do: let every range do it, as in \"3@1\", or none")]
    SomeWithoutShard(RoomId),
    /// A shard that there is not.
    #[error("{range} is on a shard that there is not: there are {shards}, counted from 0")]
    NoSuchShard {
        /// The offender.
        range: PlacedRange,
        /// The shards there are.
        shards: NonZeroU16,
    },
    /// A list that ends where no range of the width after it begins.
    #[error(
        "the list ends with room {last}: that must be a multiple of room_width, {width}, and not before {range}"
    )]
    EndsAmiss {
        /// The end.
        last: RoomId,
        /// The last range of the list.
        range: PlacedRange,
        /// The width of ranges after it.
        width: NonZeroU64,
    },
}

/// Places a result by its room: range i lives on shard i % shards, or where it says itself.
#[derive(Debug, Clone)]
pub struct RoomRangeSharding {
    ranges: RoomRanges,
    spread: Spread,
    rooms: u64,
}

impl RoomRangeSharding {
    /// The line that names its layout, by ranges of equal width.
    pub const LAYOUT_OF_EQUAL: LayoutPattern = LayoutPattern(&[
        Piece::Text("range of room_id, "),
        Piece::Value("room_width"),
        Piece::Text(" rooms each, spread "),
        Piece::Value("spread"),
    ]);
    /// The line that names its layout, by listed ranges.
    pub const LAYOUT_OF_LISTED: LayoutPattern = LayoutPattern(&[
        Piece::Text("range of room_id, starting at rooms "),
        Piece::List("boundaries"),
        Piece::Text(", spread "),
        Piece::Value("spread"),
    ]);

    /// The line that names its layout, by listed ranges that name their shards.
    pub const LAYOUT_OF_PLACED: LayoutPattern = LayoutPattern(&[
        Piece::Text("range of room_id, starting at rooms "),
        Piece::Texts("boundaries"),
        Piece::Text(", spread "),
        Piece::Value("spread"),
    ]);
    /// The line that names its layout, by listed ranges that name their shards, and ranges of equal width after them.
    pub const LAYOUT_OF_PLACED_FIRST: LayoutPattern = LayoutPattern(&[
        Piece::Text("range of room_id, starting at rooms "),
        Piece::Texts("boundaries"),
        Piece::Text(" up to "),
        Piece::Value("listed_to"),
        Piece::Text(", then "),
        Piece::Value("room_width"),
        Piece::Text(" rooms each, spread "),
        Piece::Value("spread"),
    ]);
    /// All lines that name its layouts.
    pub const LAYOUTS: &[LayoutPattern] = &[
        Self::LAYOUT_OF_EQUAL,
        Self::LAYOUT_OF_LISTED,
        Self::LAYOUT_OF_PLACED_FIRST,
        Self::LAYOUT_OF_PLACED,
    ];

    /// These ranges, each spread as stated; tables are made ahead for rooms 1 to `rooms`.
    #[must_use]
    pub const fn new(ranges: RoomRanges, spread: Spread, rooms: u64) -> Self {
        Self { ranges, spread, rooms }
    }

    /// The same ranges over another number of shards.
    fn over(&self, shards: NonZeroU16) -> Result<Self, LayoutChangeError> {
        let (spread, now) = (self.spread.over(shards)?, self.shard_count());
        let divides = now.get() % shards == 0 || shards.get() % now == 0;
        let ranges = match &self.ranges {
            // Range i stays on shard i % n for as many ranges as could stay, and needs no list.
            numbered @ (RoomRanges::Equal(_) | RoomRanges::Starts(_)) if divides => numbered.clone(),
            ranges => RoomRanges::Placed(ranges.placed(self.rooms, now)?.evened(shards)),
        };
        Ok(Self { ranges, spread, rooms: self.rooms })
    }

    /// The same with ranges of their own for these rooms. No other room's range is on another shard than before.
    fn with_apart(&self, rooms: &[RoomId]) -> Result<Self, LayoutChangeError> {
        let (shards, last) = (self.shard_count(), rooms.iter().max().ok_or(LayoutChangeError::NoRoom)?);
        let placed = self.ranges.placed(last.get(), shards)?;
        let placed = rooms.iter().try_fold(placed, |placed, room| placed.apart(*room, shards))?;
        Ok(Self { ranges: RoomRanges::Placed(placed), ..self.clone() })
    }

    /// The tables of one room's range, in the lanes that a query must visit.
    fn placements(&self, room: RoomId, lanes: std::ops::Range<u16>) -> Vec<Placement> {
        let Ok(RoomRange { number, table }) = self.ranges.of(room) else { return Vec::new() };
        lanes.map(|lane| Placement::new(self.spread.shard(number, lane), table)).collect()
    }
}

impl ShardingStrategy for RoomRangeSharding {
    fn name(&self) -> &str {
        "range-room"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.spread.shard_count()
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        let RoomRange { number, table } = self.ranges.of(row.room)?;
        Ok(Placement::new(self.spread.shard(number, self.spread.lane(row.user)), table))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        let lanes = self.spread.lanes(query.user);
        if let Some(room) = query.room {
            return Plan::of(self.placements(room, lanes));
        }
        match self.ranges.all_first_rooms() {
            // These ranges are all there are: with fewer of them than shards, some shards hold nothing.
            Some(rooms) => {
                let every = rooms.into_iter().flat_map(|room| self.placements(room, lanes.clone()));
                Plan::at_most(every, crate::LONGEST_PLAN)
            }
            None => Plan::All,
        }
    }

    fn tables(&self, _window: TimeRange) -> Vec<Placement> {
        let rooms = self.ranges.first_rooms(self.rooms);
        rooms.into_iter().flat_map(|room| self.placements(room, self.spread.lanes(None))).collect()
    }

    fn layout(&self) -> String {
        let (spread, shards) = (&self.spread.width(), self.shard_count());
        match &self.ranges {
            RoomRanges::Equal(width) => Self::LAYOUT_OF_EQUAL.line(&[width, spread], shards),
            RoomRanges::Starts(starts) => Self::LAYOUT_OF_LISTED.line(&[&listed(starts), spread], shards),
            RoomRanges::Placed(placed) => match placed.parts() {
                (list, None) => Self::LAYOUT_OF_PLACED.line(&[&list, spread], shards),
                (list, Some((last, width))) => {
                    Self::LAYOUT_OF_PLACED_FIRST.line(&[&list, &last, &width, spread], shards)
                }
            },
        }
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        let sets = ["by=room".to_owned(), format!("rooms={}", self.rooms)];
        crate::PROGRAM.of_layout(Self::LAYOUTS, &sets, line)
    }

    fn changed(&self, change: &LayoutChange) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        let after = match change {
            LayoutChange::Shards(shards) => self.over(*shards)?,
            LayoutChange::Split(rooms) => self.with_apart(rooms)?,
            LayoutChange::Spread(width) => Self { spread: self.spread.of_width(*width)?, ..self.clone() },
        };
        Ok(Arc::new(after))
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        self.spread.growths(shards, |spread| Self { spread, ..self.clone() })
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let RoomRange { number, table } = match self.ranges.of(row.room) {
            Ok(range) => range,
            Err(error) => return vec![error.to_string()],
        };
        let (shards, lane, width) = (self.shard_count(), self.spread.lane(row.user), self.spread.width());
        let named = match &self.ranges {
            RoomRanges::Placed(placed) if placed.lists(row.room) => format!("the range of shard {number}"),
            _ => format!("range {number}"),
        };
        let mut steps =
            vec![format!("room_id {} falls into {named} ({}): table {table}", row.room, self.ranges)];
        if width > NonZeroU16::MIN {
            steps.push(format!("spread {width}: xxh3(user_id {}) % {width} = {lane}", row.user));
        }
        steps.push(format!("shard = ({number} + {lane}) % {shards} = {}", self.spread.shard(number, lane)));
        steps
    }
}
