//! The `[range]` section of the settings.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use coupon_core::{RoomId, ShardingStrategy};
use coupon_service::choice;
use serde::Deserialize;

use crate::{
    Boundary, BoundaryError, Bucket, PlacedRange, PlacedRanges, RoomRangeSharding, RoomRanges, Spread,
    TimeRangeSharding,
};

/// The key whose ranges rows are stored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The moment of the grab.
    #[default]
    Time,
    /// The coupon's room.
    Room,
}

/// The `[range]` section of the settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RangeSettings {
    /// `time` (default) or `room`.
    #[serde(deserialize_with = "choice")]
    pub by: By,
    /// By time: one table a `day` (default) or an `hour`.
    #[serde(deserialize_with = "choice")]
    pub bucket: Bucket,
    /// By room: how many rooms a range has, 25 by default.
    pub room_width: NonZeroU64,
    /// By room: the first room of each range, ascending from 1, instead of `room_width`. With a shard each, `"3@1"`, they
    /// are where they say; range i is on shard i % shards otherwise.
    pub boundaries: Vec<Boundary>,
    /// By room, where boundaries name shards: the last room of their ranges; ranges of `room_width` follow.
    pub listed_to: Option<RoomId>,
    /// Number of shards over which each range is spread by user, 1 (not at all) by default.
    pub spread: NonZeroU16,
    /// By room: tables are made ahead for rooms 1 to this one, 100 by default.
    pub rooms: NonZeroU64,
}

impl Default for RangeSettings {
    fn default() -> Self {
        Self {
            by: By::default(),
            bucket: Bucket::default(),
            room_width: const { NonZeroU64::new(25).unwrap() },
            boundaries: Vec::new(),
            listed_to: None,
            spread: NonZeroU16::MIN,
            rooms: const { NonZeroU64::new(100).unwrap() },
        }
    }
}

/// Settings that contradict each other. The message names the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeSettingsError {
    /// There are more lanes than shards.
    #[error("range.spread is {spread}, but there are only {shards} shards to spread over")]
    SpreadTooWide {
        /// The setting.
        spread: NonZeroU16,
        /// The shards there are.
        shards: NonZeroU16,
    },
    /// A list of boundaries that makes no ranges.
    #[error("range.boundaries: {0}")]
    Boundaries(#[from] BoundaryError),
    /// An end of a list that has none.
    #[error("range.listed_to means nothing unless range.boundaries name shards, as in \"3@1\": remove it")]
    NothingListed,
    /// A setting of the other kind of range.
    #[error("range.{setting} means nothing when range.by = \"{by}\": remove it, or change range.by")]
    OtherKind {
        /// The setting that does not apply.
        setting: &'static str,
        /// The kind chosen.
        by: &'static str,
    },
}

impl RangeSettings {
    /// The strategy that the settings ask for.
    ///
    /// # Errors
    /// [`RangeSettingsError`] when they contradict each other.
    pub fn strategy(&self, shards: NonZeroU16) -> Result<Arc<dyn ShardingStrategy>, RangeSettingsError> {
        let too_wide = RangeSettingsError::SpreadTooWide { spread: self.spread, shards };
        let spread = Spread::new(self.spread, shards).ok_or(too_wide)?;
        let other = |setting, by| Err(RangeSettingsError::OtherKind { setting, by });
        match self.by {
            By::Time if !self.boundaries.is_empty() => other("boundaries", "time"),
            By::Time if self.listed_to.is_some() => other("listed_to", "time"),
            By::Room if self.bucket != Bucket::Day => other("bucket", "room"),
            By::Time => Ok(Arc::new(TimeRangeSharding::new(self.bucket, spread))),
            By::Room => {
                let ranges = self.room_ranges(shards)?;
                Ok(Arc::new(RoomRangeSharding::new(ranges, spread, self.rooms.get())))
            }
        }
    }

    fn room_ranges(&self, shards: NonZeroU16) -> Result<RoomRanges, RangeSettingsError> {
        match self.boundaries.as_slice() {
            some if some.iter().any(|boundary| boundary.shard.is_some()) => {
                let ranges: Result<Vec<_>, _> = some.iter().map(placed).collect();
                Ok(RoomRanges::Placed(PlacedRanges::new(ranges?, self.listed_to, self.room_width, shards)?))
            }
            _ if self.listed_to.is_some() => Err(RangeSettingsError::NothingListed),
            [] => Ok(RoomRanges::Equal(self.room_width)),
            starts => {
                let starts: Vec<RoomId> = starts.iter().map(|boundary| boundary.room).collect();
                Ok(RoomRanges::starting_at(&starts)?)
            }
        }
    }
}

fn placed(boundary: &Boundary) -> Result<PlacedRange, BoundaryError> {
    let shard = boundary.shard.ok_or(BoundaryError::SomeWithoutShard(boundary.room))?;
    Ok(PlacedRange { first: boundary.room, shard })
}
