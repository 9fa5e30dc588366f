//! Ranges of rooms: one table a range, each on one shard.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};

use coupon_core::{
    Growth, LayoutPattern, Piece, Placement, Plan, ResultQuery, RoomCounts, RoomId, RouteError, RowKey,
    ShardingStrategy, TableId, TimeRange,
};

use crate::Spread;

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
}

/// The rule by which rooms fall into ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRanges {
    /// Rooms 1 to w, w + 1 to 2w, and so on.
    Equal(NonZeroU64),
    /// Each range's first room, ascending from 1; the last range has no end. This pre-splits hot rooms.
    Starts(Vec<RoomId>),
}

impl RoomRanges {
    /// Ranges that begin at these rooms.
    ///
    /// # Errors
    /// [`BoundaryError`] unless the list ascends from 1.
    pub fn starting_at(starts: &[RoomId]) -> Result<Self, BoundaryError> {
        let first = starts.first().ok_or(BoundaryError::Empty)?.get();
        if first != 1 {
            return Err(BoundaryError::FirstIsNotOne(first));
        }
        for pair in starts.windows(2) {
            if let [previous, next] = pair
                && next <= previous
            {
                return Err(BoundaryError::NotAscending { previous: previous.get(), next: next.get() });
            }
        }
        Ok(Self::Starts(starts.to_vec()))
    }

    /// Each of the hot rooms in its own range; the others share as many ranges as it takes for every shard to have
    /// one.
    #[must_use]
    pub fn hot_rooms_apart(rooms: RoomCounts, shards: NonZeroU16) -> Self {
        let (shards, rooms, hot) = (u64::from(shards.get()), rooms.all.max(1), rooms.hot);
        let cold_ranges = shards - hot % shards;
        let width = rooms.saturating_sub(hot).div_ceil(cold_ranges).max(1);
        let cold = (hot + 1..=rooms).step_by(usize::try_from(width).unwrap_or(usize::MAX));
        Self::Starts((1..=hot).chain(cold).filter_map(|room| RoomId::new(room).ok()).collect())
    }

    /// The range a room falls into: its number, and its table.
    fn of(&self, room: RoomId) -> Result<(u64, TableId), RouteError> {
        let out = || RouteError::RoomOutOfRange(room);
        match self {
            Self::Equal(width) => {
                let number = (room.get() - 1) / width.get();
                let first = RoomId::new(number * width.get() + 1).map_err(|_| out())?;
                // The last range of all may be cut short by the highest id there is.
                let last = RoomId::new(first.get().saturating_add(width.get() - 1)).ok();
                Ok((number, TableId::Rooms { first, last }))
            }
            Self::Starts(starts) => {
                let after = starts.partition_point(|start| *start <= room);
                let number = after.checked_sub(1).ok_or_else(out)?;
                let first = *starts.get(number).ok_or_else(out)?;
                let last = starts.get(after).and_then(|next| RoomId::new(next.get() - 1).ok());
                Ok((number as u64, TableId::Rooms { first, last }))
            }
        }
    }

    /// The first room of every range that holds one of the rooms 1 to `rooms`.
    fn first_rooms(&self, rooms: u64) -> Vec<RoomId> {
        match self {
            Self::Equal(width) => (0..rooms.div_ceil(width.get()))
                .filter_map(|i| RoomId::new(i * width.get() + 1).ok())
                .collect(),
            Self::Starts(starts) => starts.clone(),
        }
    }
}

impl fmt::Display for RoomRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(width) => write!(f, "{width} rooms each"),
            Self::Starts(starts) => write!(f, "starting at rooms {}", listed(starts)),
        }
    }
}

/// Rooms with commas between them.
fn listed(rooms: &[RoomId]) -> String {
    rooms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Places a result by its room: range i lives on shard i % shards.
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

    /// These ranges, each spread as stated; tables are made ahead for rooms 1 to `rooms`.
    #[must_use]
    pub const fn new(ranges: RoomRanges, spread: Spread, rooms: u64) -> Self {
        Self { ranges, spread, rooms }
    }

    /// The tables of one room's range, in the lanes that a query must visit.
    fn placements(&self, room: RoomId, lanes: std::ops::Range<u16>) -> Vec<Placement> {
        let Ok((number, table)) = self.ranges.of(room) else { return Vec::new() };
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
        let (number, table) = self.ranges.of(row.room)?;
        Ok(Placement::new(self.spread.shard(number, self.spread.lane(row.user)), table))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        let lanes = self.spread.lanes(query.user);
        match (query.room, &self.ranges) {
            (Some(room), _) => Plan::of(self.placements(room, lanes)),
            // These ranges are all there are: with fewer of them than shards, some shards hold nothing.
            (None, RoomRanges::Starts(starts)) => {
                let every = starts.iter().flat_map(|start| self.placements(*start, lanes.clone()));
                Plan::at_most(every, crate::LONGEST_PLAN)
            }
            (None, RoomRanges::Equal(_)) => Plan::All,
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
        }
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        self.spread.growths(shards, |spread| Self { spread, ..self.clone() })
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let (number, table) = match self.ranges.of(row.room) {
            Ok(range) => range,
            Err(error) => return vec![error.to_string()],
        };
        let (shards, lane, width) = (self.shard_count(), self.spread.lane(row.user), self.spread.width());
        let mut steps =
            vec![format!("room_id {} falls into range {number} ({}): table {table}", row.room, self.ranges)];
        if width > NonZeroU16::MIN {
            steps.push(format!("spread {width}: xxh3(user_id {}) % {width} = {lane}", row.user));
        }
        steps.push(format!("shard = ({number} + {lane}) % {shards} = {}", self.spread.shard(number, lane)));
        steps
    }
}
