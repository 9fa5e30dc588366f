//! Ranges of keyspace ids, by which Vitess names shards.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};
use serde::{Deserialize, Serialize};

/// The end of the last range: one more than the highest byte.
const END: u16 = 256;

/// A shard's keyspace ids, by their first byte: from `start` on, up to `end` without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct KeyRange {
    start: u16,
    end: u16,
}

impl KeyRange {
    /// The ranges of so many shards of the same size, in their order.
    ///
    /// # Errors
    /// For a number that cuts no byte into equal parts.
    pub(crate) fn equal(shards: NonZeroU16) -> Result<Vec<Self>> {
        ensure!(
            shards.is_power_of_two() && shards.get() <= END,
            "an engine has 1, 2, 4, 8 or so on shards, up to {END}, and not {shards}"
        );
        let width = END / shards;
        Ok((0..shards.get()).map(|shard| Self { start: shard * width, end: (shard + 1) * width }).collect())
    }

    /// True when there are ids in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
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
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let bounds = || {
            let (start, end) = name.split_once('-')?;
            let start = if start.is_empty() { 0 } else { Self::bound(start)? };
            let end = if end.is_empty() { END } else { Self::bound(end)? };
            (start < end).then_some(Self { start, end })
        };
        bounds().with_context(|| format!("{name:?} is no shard by the first byte, such as -40 or 40-80"))
    }
}

impl From<KeyRange> for String {
    fn from(range: KeyRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for KeyRange {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

/// Shards that become others of the same ids together, and of no fewer ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) from: Vec<KeyRange>,
    pub(crate) to: Vec<KeyRange>,
}

/// The groups by which shards become others, without those that stay as they are. Both are given in their order, and
/// have all ids.
pub(crate) fn groups(from: &[KeyRange], to: &[KeyRange]) -> Vec<Group> {
    let (mut from, mut to) = (from.iter().copied(), to.iter().copied());
    let mut groups = Vec::new();
    while let Some(first) = from.next() {
        let mut group = Group { from: vec![first], to: Vec::new() };
        let (mut left, mut right) = (first.end, first.start);
        while left != right {
            let (side, shards, end) = if left < right {
                (&mut from, &mut group.from, &mut left)
            } else {
                (&mut to, &mut group.to, &mut right)
            };
            let Some(next) = side.next() else { break };
            *end = next.end;
            shards.push(next);
        }
        groups.push(group);
    }
    groups.retain(|group| group.from != group.to);
    groups
}

/// True for shards that have each id once, in their order.
pub(crate) fn have_all_ids(shards: &[KeyRange]) -> bool {
    let starts = shards.iter().map(|shard| shard.start).chain([END]);
    let ends = [0].into_iter().chain(shards.iter().map(|shard| shard.end));
    starts.eq(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(shards: u16) -> Vec<String> {
        let ranges = KeyRange::equal(NonZeroU16::new(shards).unwrap()).unwrap();
        ranges.iter().map(ToString::to_string).collect()
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
        let overlap = |one: &str, other: &str| ranges(one)[0].overlaps(ranges(other)[0]);
        assert!(overlap("-40", "-20") && overlap("20-40", "-40") && overlap("-", "c0-"));
        assert!(!overlap("-40", "40-80") && !overlap("c0-", "-40"));
    }

    fn ranges(names: &str) -> Vec<KeyRange> {
        names.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    fn told(from: &str, to: &str) -> Vec<String> {
        let name = |ranges: &[KeyRange]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let groups = groups(&ranges(from), &ranges(to));
        groups.iter().map(|group| format!("{} to {}", name(&group.from), name(&group.to))).collect()
    }

    #[test]
    fn shards_become_others_by_groups_that_share_no_id() {
        assert_eq!(told("-80 80-", "-40 40-80 80-c0 c0-"), ["-80 to -40 40-80", "80- to 80-c0 c0-"]);
        assert_eq!(told("-40 40-80 80-c0 c0-", "-80 80-"), ["-40 40-80 to -80", "80-c0 c0- to 80-"]);
        assert_eq!(told("-40 40-80 80-", "-40 40-80 80-c0 c0-"), ["80- to 80-c0 c0-"]);
        assert_eq!(told("-40 40-60 60-80 80-", "-80 80-"), ["-40 40-60 60-80 to -80"]);
        assert_eq!(told("-40 40-", "-80 80-"), ["-40 40- to -80 80-"]);
        assert!(told("-80 80-", "-80 80-").is_empty());
    }

    #[test]
    fn ids_that_are_missing_or_had_twice_are_found() {
        assert!(have_all_ids(&ranges("-40 40-80 80-")) && have_all_ids(&ranges("-")));
        for wrong in ["-40 80-", "-40 40-80", "40-", "-80 40-"] {
            assert!(!have_all_ids(&ranges(wrong)), "{wrong}");
        }
        assert!(!have_all_ids(&[]));
    }

    #[test]
    fn a_name_read_back_is_the_same_range() {
        for name in names(1).into_iter().chain(names(4)).chain(names(256)) {
            assert_eq!(name.parse::<KeyRange>().unwrap().to_string(), name);
        }
        for name in ["", "0", "40", "80-40", "40-40", "4-8", "+4-80", "4000-8000", "40-80-"] {
            assert!(name.parse::<KeyRange>().is_err(), "{name:?}");
        }
    }
}
