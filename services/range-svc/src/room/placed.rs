//! Ranges of rooms that each name their shard.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};
use std::str::FromStr;

use coupon_core::{LayoutChangeError, RoomId, ShardId, evened};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::BoundaryError;
use super::range::{RoomRange, check_starts, listed};

/// The most ranges that a list may have: its line is stored with the data, and read by people.
const LONGEST_LIST: u64 = 1_024;

/// A range, and the shard where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedRange {
    /// Its first room; it ends before the next range.
    pub first: RoomId,
    /// Its shard.
    pub shard: ShardId,
}

impl fmt::Display for PlacedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.first, self.shard)
    }
}

/// Ranges that each name their shard, and perhaps ranges of equal width after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRanges {
    listed: Vec<PlacedRange>,
    after: Option<EqualAfter>,
}

/// The ranges after those that are listed. They are numbered as if there were no others, so that none of them changed its
/// place when some were listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EqualAfter {
    /// The last room of the ranges that are listed, a multiple of the width; 0 where none is.
    room: u64,
    /// The rooms of each range.
    width: NonZeroU64,
}

impl PlacedRanges {
    /// Ranges that begin at these rooms, on these of so many shards. They are all there are, unless they are said to end with
    /// a room: then ranges of equal width follow.
    ///
    /// # Errors
    /// [`BoundaryError`] unless the list ascends from 1, names shards that there are, and ends where a range of that width does.
    pub fn new(
        listed: Vec<PlacedRange>,
        last: Option<RoomId>,
        width: NonZeroU64,
        shards: NonZeroU16,
    ) -> Result<Self, BoundaryError> {
        check_starts(listed.iter().map(|range| range.first))?;
        if let Some(range) = listed.iter().find(|range| range.shard.number() >= shards.get()) {
            return Err(BoundaryError::NoSuchShard { range: *range, shards });
        }
        if let (Some(last), Some(range)) = (last, listed.last())
            && (last < range.first || last.get() % width != 0)
        {
            return Err(BoundaryError::EndsAmiss { last, range: *range, width });
        }
        Ok(Self { listed, after: last.map(|last| EqualAfter { room: last.get(), width }) })
    }

    /// None that is listed: all are of equal width.
    pub(super) const fn of_width(width: NonZeroU64) -> Self {
        Self { listed: Vec::new(), after: Some(EqualAfter { room: 0, width }) }
    }

    /// These ranges, which are all there are.
    pub(super) fn of_all(listed: Vec<PlacedRange>) -> Result<Self, LayoutChangeError> {
        Self { listed, after: None }.checked()
    }

    /// The same, with the ranges of rooms up to that one listed: each on the shard that it has of so many.
    pub(super) fn listed_to(mut self, room: u64, shards: NonZeroU16) -> Result<Self, LayoutChangeError> {
        let Some(EqualAfter { room: last, width }) = self.after else { return Ok(self) };
        let (from, to) = (last / width, room.div_ceil(width.get()));
        let ranges = (self.listed.len() as u64).saturating_add(to.saturating_sub(from));
        if ranges > LONGEST_LIST {
            return Err(LayoutChangeError::TooManyRanges { ranges, most: LONGEST_LIST });
        }
        for number in from..to {
            let Ok(first) = RoomId::new(number * width.get() + 1) else { break };
            let shard = ShardId::new((number % u64::from(shards.get())) as u16);
            self.listed.push(PlacedRange { first, shard });
        }
        if to > from {
            // Beyond the highest id there is no range.
            let room = to.checked_mul(width.get()).filter(|room| RoomId::new(room + 1).is_ok());
            self.after = room.map(|room| EqualAfter { room, width });
        }
        self.checked()
    }

    /// The same over another number of shards, with as few ranges on another one as an even split allows.
    pub(super) fn evened(mut self, shards: NonZeroU16) -> Self {
        let owners: Vec<ShardId> = self.listed.iter().map(|range| range.shard).collect();
        for (range, shard) in self.listed.iter_mut().zip(evened(&owners, shards)) {
            range.shard = shard;
        }
        self
    }

    /// The same with a range of its own for that room, away from where it is. What is left of the range that it was in stays
    /// where it was. The room must be one of those that are listed.
    pub(super) fn apart(mut self, room: RoomId, shards: NonZeroU16) -> Result<Self, LayoutChangeError> {
        let after = self.listed.partition_point(|range| range.first <= room);
        let Some(at) = after.checked_sub(1) else { return Ok(self) };
        let (Some(range), last) = (self.listed.get(at).copied(), self.last(at)) else { return Ok(self) };
        if range.first == room && last == Some(room) {
            return Ok(self);
        }
        let next = RoomId::new(room.get() + 1).ok().filter(|next| last.is_none_or(|last| *next <= last));
        let own = PlacedRange { first: room, shard: self.calmest(range.shard, shards) };
        let parts = [
            (range.first < room).then_some(range),
            Some(own),
            next.map(|first| PlacedRange { first, ..range }),
        ];
        self.listed.splice(at..after, parts.into_iter().flatten());
        self.checked()
    }

    /// The shard with the fewest rooms in ranges of their own; of several the one with the fewest ranges, and of these the
    /// next after `home`.
    fn calmest(&self, home: ShardId, shards: NonZeroU16) -> ShardId {
        let of = |shard: ShardId| {
            let ranges = (0..self.listed.len())
                .filter(|at| self.listed.get(*at).is_some_and(|range| range.shard == shard));
            let own = ranges
                .clone()
                .filter(|at| self.listed.get(*at).is_some_and(|range| self.last(*at) == Some(range.first)));
            let (home, count) = (u32::from(home.number()), u32::from(shards.get()));
            let distance = (u32::from(shard.number()) + 2 * count - home % count - 1) % count;
            (own.count(), ranges.count(), distance)
        };
        (0..shards.get()).map(ShardId::new).min_by_key(|shard| of(*shard)).unwrap_or(home)
    }

    /// The last room of a range that is listed, if it has an end.
    fn last(&self, at: usize) -> Option<RoomId> {
        let next = self.listed.get(at + 1).map(|next| next.first.get() - 1);
        RoomId::new(next.or(self.after.map(|after| after.room))?).ok()
    }

    /// The range that a room falls into.
    pub(super) fn of(&self, room: RoomId) -> Option<RoomRange> {
        if let Some(EqualAfter { room: last, width }) = self.after
            && room.get() > last
        {
            return RoomRange::equal((room.get() - 1) / width, width);
        }
        let at = self.listed.partition_point(|range| range.first <= room).checked_sub(1)?;
        let range = self.listed.get(at)?;
        Some(RoomRange::new(u64::from(range.shard.number()), range.first, self.last(at)))
    }

    /// True when none follows those that are listed.
    pub(super) const fn is_all(&self) -> bool {
        self.after.is_none()
    }

    /// True when a room's range is one of those that are listed.
    pub(super) fn lists(&self, room: RoomId) -> bool {
        self.after.is_none_or(|after| room.get() <= after.room)
    }

    /// The first room of every range that is listed, and of every one after them with one of the rooms 1 to `rooms`.
    pub(super) fn first_rooms(&self, rooms: u64) -> Vec<RoomId> {
        let listed = self.listed.iter().map(|range| range.first);
        let after = self.after.into_iter().flat_map(|EqualAfter { room, width }| {
            let numbers = room / width..rooms.div_ceil(width.get());
            numbers.filter_map(move |number| RoomId::new(number * width.get() + 1).ok())
        });
        listed.chain(after).collect()
    }

    /// The list, and where it ends and with what width it goes on, if it does.
    pub(super) fn parts(&self) -> (String, Option<(u64, NonZeroU64)>) {
        (listed(&self.listed), self.after.map(|after| (after.room, after.width)))
    }

    fn checked(self) -> Result<Self, LayoutChangeError> {
        let ranges = self.listed.len() as u64;
        if ranges > LONGEST_LIST {
            return Err(LayoutChangeError::TooManyRanges { ranges, most: LONGEST_LIST });
        }
        Ok(self)
    }
}

impl fmt::Display for PlacedRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.listed))?;
        match self.after {
            Some(EqualAfter { room, width }) => write!(f, " up to {room}, then {width} rooms each"),
            None => Ok(()),
        }
    }
}

/// The first room of a range, and its shard where one is named: `3`, or `"3@1"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    /// The range's first room.
    pub room: RoomId,
    /// The range's shard.
    pub shard: Option<ShardId>,
}

impl From<RoomId> for Boundary {
    fn from(room: RoomId) -> Self {
        Self { room, shard: None }
    }
}

impl FromStr for Boundary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let room = |room: &str| room.parse::<RoomId>().map_err(|error| error.to_string());
        let Some((first, shard)) = text.split_once('@') else { return Ok(room(text)?.into()) };
        let number = shard.parse().map_err(|_| format!("{text:?}: after the @ comes a shard's number"))?;
        Ok(Self { room: room(first)?, shard: Some(ShardId::new(number)) })
    }
}

impl<'de> Deserialize<'de> for Boundary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfNumberOrText)
    }
}

struct OfNumberOrText;

impl Visitor<'_> for OfNumberOrText {
    type Value = Boundary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range's first room, such as 3, or with its shard, such as \"3@1\"")
    }

    fn visit_u64<E: Error>(self, room: u64) -> Result<Boundary, E> {
        RoomId::new(room).map(Boundary::from).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, room: i64) -> Result<Boundary, E> {
        self.visit_str(&room.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Boundary, E> {
        text.parse().map_err(E::custom)
    }
}
