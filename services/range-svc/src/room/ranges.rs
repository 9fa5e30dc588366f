//! The rule by which rooms fall into ranges.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};

use coupon_core::{LayoutChangeError, RoomCounts, RoomId, RouteError, ShardId};

use super::BoundaryError;
use super::placed::{PlacedRange, PlacedRanges};
use super::range::{RoomRange, check_starts, listed};

/// The rule by which rooms fall into ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRanges {
    /// Rooms 1 to w, w + 1 to 2w, and so on.
    Equal(NonZeroU64),
    /// Each range's first room, ascending from 1; the last range has no end. This pre-splits hot rooms.
    Starts(Vec<RoomId>),
    /// Ranges that each name their shard: what a split leaves behind, so that no other range is on another shard than before.
    Placed(PlacedRanges),
}

impl RoomRanges {
    /// Ranges that begin at these rooms.
    ///
    /// # Errors
    /// [`BoundaryError`] unless the list ascends from 1.
    pub fn starting_at(starts: &[RoomId]) -> Result<Self, BoundaryError> {
        check_starts(starts.iter().copied())?;
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

    /// The range that a room falls into.
    pub(super) fn of(&self, room: RoomId) -> Result<RoomRange, RouteError> {
        let found = match self {
            Self::Equal(width) => RoomRange::equal((room.get() - 1) / width.get(), *width),
            Self::Starts(starts) => {
                let after = starts.partition_point(|start| *start <= room);
                let range = |number: usize| {
                    let last = starts.get(after).and_then(|next| RoomId::new(next.get() - 1).ok());
                    Some(RoomRange::new(number as u64, *starts.get(number)?, last))
                };
                after.checked_sub(1).and_then(range)
            }
            Self::Placed(placed) => placed.of(room),
        };
        found.ok_or(RouteError::RoomOutOfRange(room))
    }

    /// The first room of every range that there is, or `None` where there are ranges without end.
    pub(super) fn all_first_rooms(&self) -> Option<Vec<RoomId>> {
        match self {
            Self::Equal(_) => None,
            Self::Starts(starts) => Some(starts.clone()),
            Self::Placed(placed) => placed.is_all().then(|| placed.first_rooms(0)),
        }
    }

    /// The first room of every range that holds one of the rooms 1 to `rooms`, and of all that are listed.
    pub(super) fn first_rooms(&self, rooms: u64) -> Vec<RoomId> {
        match self {
            Self::Equal(width) => (0..rooms.div_ceil(width.get()))
                .filter_map(|i| RoomId::new(i * width.get() + 1).ok())
                .collect(),
            Self::Starts(starts) => starts.clone(),
            Self::Placed(placed) => placed.first_rooms(rooms),
        }
    }

    /// The same ranges, each with the shard that it has of so many; those of rooms up to that one are listed, and there may be
    /// more.
    pub(super) fn placed(&self, rooms: u64, shards: NonZeroU16) -> Result<PlacedRanges, LayoutChangeError> {
        match self {
            Self::Equal(width) => PlacedRanges::of_width(*width).listed_to(rooms, shards),
            Self::Starts(starts) => {
                let shard = |number: usize| ShardId::new((number % usize::from(shards.get())) as u16);
                let ranges = starts.iter().enumerate();
                let ranges = ranges.map(|(at, first)| PlacedRange { first: *first, shard: shard(at) });
                PlacedRanges::of_all(ranges.collect())
            }
            Self::Placed(placed) => placed.clone().listed_to(rooms, shards),
        }
    }
}

impl fmt::Display for RoomRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(width) => write!(f, "{width} rooms each"),
            Self::Starts(starts) => write!(f, "starting at rooms {}", listed(starts)),
            Self::Placed(placed) => write!(f, "starting at rooms {placed}"),
        }
    }
}
