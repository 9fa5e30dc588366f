//! The keyspace of an engine that shards by itself (Vitess): where its hash puts a key, which ids a shard has, and the lanes that
//! are cut from it.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use crate::{ShardId, UserId};

/// The end of the last range of keyspace ids: one more than the highest first byte.
const END: u16 = 256;

/// The place of a key in an engine's keyspace, as its function `xxhash` gives it: XXH64 (seed 0) of the key's decimal digits,
/// lowest byte first.
///
/// The engine moves rows by it, so another function here would be a data migration: golden vectors guard this one, and an
/// engine is asked for [`KeyspaceId::ASKED`] before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId([u8; 8]);

impl KeyspaceId {
    /// The keys whose ids an engine is asked for, of every number of digits up to the most.
    pub const ASKED: [u64; 8] = [1, 2, 77, 999, 12_345, 999_999_999, 1 << 32, crate::MAX_ID];

    /// The id of a key.
    #[must_use]
    pub fn of(key: u64) -> Self {
        /// The digits of the greatest number.
        const DIGITS: usize = 20;
        let (mut digits, mut at, mut rest) = ([0; DIGITS], DIGITS, key);
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                // A digit is below 10.
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        Self(xxh64(digits.get(at..).unwrap_or_default(), 0).to_le_bytes())
    }

    /// Its first byte, which alone decides the lane, and the shard.
    #[must_use]
    pub const fn first(self) -> u8 {
        self.0[0]
    }
}

impl fmt::Display for KeyspaceId {
    /// Writes its sixteen digits, as the engine does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The lowest keyspace id of a lane, as far as it matters: the first byte. It is the lane's address in the engine, and what the
/// lane's rows have in their column `lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey(u8);

impl LaneKey {
    /// The key of a lane that has a database of its own.
    pub const ONLY: Self = Self(0);

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for LaneKey {
    /// Writes its two digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// The lanes of an engine: parts of its keyspace, all of the same size, by the highest bits of an id. An engine has as many as it
/// may ever have shards, since a shard has whole lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(NonZeroU16);

impl Lanes {
    /// So many lanes; `None` for a number that cuts no byte into equal parts.
    #[must_use]
    pub fn new(count: NonZeroU16) -> Option<Self> {
        (count.is_power_of_two() && count.get() <= END).then_some(Self(count))
    }

    /// Their number.
    #[must_use]
    pub const fn count(self) -> NonZeroU16 {
        self.0
    }

    /// The lane of a keyspace id.
    #[must_use]
    pub fn lane(self, id: KeyspaceId) -> ShardId {
        ShardId::new(u16::from(id.first()) / self.width())
    }

    /// The lane of a user's rows.
    #[must_use]
    pub fn of_user(self, user: UserId) -> ShardId {
        self.lane(KeyspaceId::of(user.get()))
    }

    /// The key of a lane; `None` where there is no such lane.
    #[must_use]
    pub fn key(self, lane: ShardId) -> Option<LaneKey> {
        let first = lane.number().checked_mul(self.width())?;
        u8::try_from(first).ok().map(LaneKey)
    }

    /// The lanes that a shard has.
    pub fn within(self, shard: KeyRange) -> impl Iterator<Item = ShardId> {
        let width = self.width();
        (shard.start.div_ceil(width)..shard.end / width).map(ShardId::new)
    }

    /// True where a shard ends within a lane, which no transaction of that lane could then be on one shard.
    #[must_use]
    pub fn are_cut_by(self, shard: KeyRange) -> bool {
        !shard.start.is_multiple_of(self.width()) || !shard.end.is_multiple_of(self.width())
    }

    /// The first bytes that a lane has.
    fn width(self) -> u16 {
        END / self.0
    }
}

/// The keyspace ids of an engine's shard, by their first byte: from `start` on, up to `end` without it. The shard is named by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyRange {
    start: u16,
    end: u16,
}

/// A range of keyspace ids that there cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRangeError {
    /// A number of shards that cuts no byte into equal parts.
    #[error("an engine has 1, 2, 4, 8 or so on shards, up to {END}, and not {0}")]
    NotEqual(NonZeroU16),
    /// Text that is no shard's name.
    #[error("{0:?} is no shard by the first byte, such as -40 or 40-80")]
    NoName(String),
}

impl KeyRange {
    /// The ranges of so many shards of the same size, in their order.
    ///
    /// # Errors
    /// For a number that cuts no byte into equal parts.
    pub fn equal(shards: NonZeroU16) -> Result<Vec<Self>, KeyRangeError> {
        let Lanes(shards) = Lanes::new(shards).ok_or(KeyRangeError::NotEqual(shards))?;
        let width = END / shards;
        Ok((0..shards.get()).map(|shard| Self { start: shard * width, end: (shard + 1) * width }).collect())
    }

    /// The first byte of the lowest id.
    #[must_use]
    pub const fn start(self) -> u16 {
        self.start
    }

    /// One more than the first byte of the highest id.
    #[must_use]
    pub const fn end(self) -> u16 {
        self.end
    }

    /// True when there are ids in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// True for shards that have each id once, in their order.
    #[must_use]
    pub fn have_all_ids(shards: &[Self]) -> bool {
        let starts = shards.iter().map(|shard| shard.start).chain([END]);
        let ends = [0].into_iter().chain(shards.iter().map(|shard| shard.end));
        starts.eq(ends)
    }

    fn bound(text: &str) -> Option<u16> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start > 0 {
            write!(f, "{:02x}", self.start)?;
        }
        f.write_str("-")?;
        if self.end < END { write!(f, "{:02x}", self.end) } else { Ok(()) }
    }
}

impl FromStr for KeyRange {
    type Err = KeyRangeError;

    fn from_str(name: &str) -> Result<Self, KeyRangeError> {
        let bounds = || {
            let (start, end) = name.split_once('-')?;
            let start = if start.is_empty() { 0 } else { Self::bound(start)? };
            let end = if end.is_empty() { END } else { Self::bound(end)? };
            (start < end).then_some(Self { start, end })
        };
        bounds().ok_or_else(|| KeyRangeError::NoName(name.to_owned()))
    }
}

impl From<KeyRange> for String {
    fn from(range: KeyRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for KeyRange {
    type Error = KeyRangeError;

    fn try_from(name: String) -> Result<Self, KeyRangeError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(count: u16) -> Lanes {
        Lanes::new(NonZeroU16::new(count).unwrap()).unwrap()
    }

    fn range(name: &str) -> KeyRange {
        name.parse().unwrap()
    }

    fn names(shards: u16) -> Vec<String> {
        let ranges = KeyRange::equal(NonZeroU16::new(shards).unwrap()).unwrap();
        ranges.iter().map(ToString::to_string).collect()
    }

    /// A key, its keyspace id, and its lane where there are eight. The first and the last are of the engine's own tests.
    type Vector = (u64, String, u16);

    #[test]
    fn ids_and_lanes_are_those_of_the_golden_vectors() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../golden/keyspace.json")).unwrap();
        assert!(KeyspaceId::ASKED.iter().all(|asked| vectors.iter().any(|(key, ..)| key == asked)));
        for (key, id, lane) in vectors {
            assert_eq!(KeyspaceId::of(key).to_string(), id, "{key}");
            assert_eq!(lanes(8).lane(KeyspaceId::of(key)), ShardId::new(lane), "{key}");
        }
        // Digits alone are hashed, whatever their number.
        assert_eq!(KeyspaceId::of(0).0, xxh64(b"0", 0).to_le_bytes());
        assert_eq!(KeyspaceId::of(u64::MAX).to_string(), "477cfa8d6d8f1f8d");
    }

    #[test]
    fn a_lane_has_the_ids_from_its_key_on() {
        assert_eq!(lanes(8).key(ShardId::new(3)).unwrap().to_string(), "60");
        assert_eq!(lanes(1).key(ShardId::new(0)), Some(LaneKey::ONLY));
        assert_eq!(lanes(8).key(ShardId::new(8)), None);
        for count in [1, 2, 8, 256] {
            for first in 0..=u8::MAX {
                let lane = lanes(count).lane(KeyspaceId([first, 0, 0, 0, 0, 0, 0, 0]));
                let from = lanes(count).key(lane).unwrap().byte();
                let next = lanes(count).key(ShardId::new(lane.number() + 1)).map(LaneKey::byte);
                assert!(from <= first && next.is_none_or(|next| first < next), "{count} lanes: {first:02x}");
            }
        }
    }

    #[test]
    fn lanes_are_a_power_of_two_and_a_byte_has_no_more() {
        for count in [3, 6, 512] {
            assert_eq!(Lanes::new(NonZeroU16::new(count).unwrap()), None);
        }
    }

    #[test]
    fn a_shard_that_ends_within_a_lane_is_found() {
        let has = |name: &str| lanes(8).within(range(name)).map(ShardId::number).collect::<Vec<_>>();
        for (name, wanted) in [("-40", &[0, 1][..]), ("40-60", &[2]), ("c0-", &[6, 7])] {
            assert!(!lanes(8).are_cut_by(range(name)), "{name}");
            assert_eq!(has(name), wanted, "{name}");
        }
        for name in ["-10", "10-40", "f0-", "50-90"] {
            assert!(lanes(8).are_cut_by(range(name)), "{name}");
        }
        assert_eq!(has("50-90"), [3]);
        assert!(!lanes(256).are_cut_by(range("0f-")) && !lanes(1).are_cut_by(range("-")));
    }

    #[test]
    fn shards_are_named_by_their_bounds() {
        assert_eq!(names(1), ["-"]);
        assert_eq!(names(2), ["-80", "80-"]);
        assert_eq!(names(4), ["-40", "40-80", "80-c0", "c0-"]);
        assert_eq!(names(8)[..3], ["-20", "20-40", "40-60"]);
        assert_eq!(names(256)[9..11], ["09-0a", "0a-0b"]);
    }

    #[test]
    fn a_number_of_shards_that_cuts_no_byte_evenly_is_refused() {
        for shards in [3, 6, 512] {
            let error = KeyRange::equal(NonZeroU16::new(shards).unwrap()).unwrap_err().to_string();
            assert!(error.contains(&shards.to_string()), "{error}");
        }
    }

    #[test]
    fn ranges_overlap_that_have_ids_in_common() {
        let overlap = |one: &str, other: &str| range(one).overlaps(range(other));
        assert!(overlap("-40", "-20") && overlap("20-40", "-40") && overlap("-", "c0-"));
        assert!(!overlap("-40", "40-80") && !overlap("c0-", "-40"));
    }

    #[test]
    fn ids_that_are_missing_or_had_twice_are_found() {
        let all = |names: &str| KeyRange::have_all_ids(&names.split(' ').map(range).collect::<Vec<_>>());
        assert!(all("-40 40-80 80-") && all("-"));
        for wrong in ["-40 80-", "-40 40-80", "40-", "-80 40-"] {
            assert!(!all(wrong), "{wrong}");
        }
        assert!(!KeyRange::have_all_ids(&[]));
    }

    #[test]
    fn a_name_read_back_is_the_same_range() {
        for name in names(1).into_iter().chain(names(4)).chain(names(256)) {
            assert_eq!(range(&name).to_string(), name);
        }
        for name in ["", "0", "40", "80-40", "40-40", "4-8", "+4-80", "4000-8000", "40-80-"] {
            assert!(name.parse::<KeyRange>().is_err(), "{name:?}");
        }
    }
}
