//! What a contestant's name stands for.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use coupon_core::{RoomCounts, ShardingStrategy};
use coupon_loadgen::workload::Catalogue;
use range_svc::RoomRanges;

/// The plain names, each with the program that serves it and what chooses its strategy.
const BASES: [(&str, &str, Option<&str>); 4] = [
    ("hash", "hash-svc", None),
    ("range-time", "range-svc", Some("range.by=time")),
    ("range-room", "range-svc", Some("range.by=room")),
    ("single", "hash-svc", None),
];

/// What may be added to a name with `+`: to which names, and the setting it stands for. A value that is left out follows
/// from the shards or the rooms.
const SUFFIXES: [(&str, &[&str], &str); 5] = [
    ("split", &["range-room"], "range.boundaries="),
    ("spread", &["range-room", "range-time"], "range.spread="),
    ("hours", &["range-time"], "range.bucket=hour"),
    ("modulo", &["hash"], "hash.mix=modulo"),
    ("cache", &["hash", "range-time", "range-room", "single"], "cache.room_stats_ms=500"),
];

/// Every name that stands for something by itself, for help and errors; suffixes can be combined.
pub const KNOWN: [&str; 12] = [
    "hash",
    "range-time",
    "range-room",
    "single",
    "range-room+split",
    "range-room+spread",
    "range-time+spread",
    "range-time+hours",
    "hash+modulo",
    "hash+cache",
    "range-time+cache",
    "range-room+cache",
];

/// How to start a contestant, and where its rows live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What reports call it.
    pub name: String,
    /// The program that serves it: a name, to be found beside this one, or an absolute path.
    pub program: Cow<'static, str>,
    /// How many shards it has.
    pub shards: NonZeroU16,
    /// Given to the program with `--set`.
    pub settings: Vec<String>,
    /// The plain variant whose hotspot it is to cure, if it is a cure.
    pub cure_of: Option<&'static str>,
    base: &'static str,
}

impl Spec {
    /// Reads a name such as `range-room+split`; the hot rooms that this one splits are the catalogue's.
    ///
    /// # Errors
    /// For a name that stands for nothing; the error lists the names that do.
    pub fn parse(name: &str, shards: NonZeroU16, catalogue: &Catalogue) -> Result<Self> {
        let split = RoomRanges::hot_rooms_apart(
            RoomCounts { all: catalogue.rooms, hot: catalogue.hot_rooms },
            shards,
        );
        Self::with_split(name, shards, &split)
    }

    /// The same, where +split stands for these ranges of rooms.
    ///
    /// # Errors
    /// For a name that stands for nothing; the error lists the names that do.
    pub fn with_split(name: &str, shards: NonZeroU16, split: &RoomRanges) -> Result<Self> {
        let known = || format!("contestant {name:?} is not known; known are {}", KNOWN.join(", "));
        let mut parts = name.split('+');
        let plain = parts.next().unwrap_or_default();
        let (base, program, by) = BASES.into_iter().find(|(base, ..)| *base == plain).with_context(known)?;
        let shards = if base == "single" { NonZeroU16::MIN } else { shards };
        let mut settings: Vec<String> = by.map(str::to_owned).into_iter().collect();
        let mut cure_of = None;
        for part in parts {
            let (suffix, _, setting) = SUFFIXES
                .into_iter()
                .find(|(suffix, bases, _)| *suffix == part && bases.contains(&base))
                .with_context(known)?;
            let value = match suffix {
                "split" => boundaries(split),
                "spread" => shards.to_string(),
                _ => String::new(),
            };
            let setting = format!("{setting}{value}");
            ensure!(!settings.contains(&setting), "{name:?} says +{suffix} twice");
            settings.push(setting);
            if matches!(suffix, "split" | "spread" | "hours") {
                cure_of = Some(base);
            }
        }
        Ok(Self { name: name.to_owned(), program: program.into(), shards, settings, cure_of, base })
    }

    /// The strategy that the service will follow, made from the same settings.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn strategy(&self) -> Result<Arc<dyn ShardingStrategy>> {
        let own = |set: &&String| {
            set.starts_with("hash.") || (set.starts_with("range.") && !set.starts_with("range.by="))
        };
        let sets: Vec<String> = self.settings.iter().filter(own).cloned().collect();
        seeder::strategy(self.base, self.shards, &sets).with_context(|| self.name.clone())
    }
}

/// The first room of each range, as a setting has them.
fn boundaries(ranges: &RoomRanges) -> String {
    match ranges {
        RoomRanges::Starts(starts) => {
            format!("[{}]", starts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
        RoomRanges::Equal(_) => String::new(),
    }
}

/// The cures for the hotspot of a plain contestant, by name: the ones that serve most workloads.
#[must_use]
pub fn cures(name: &str) -> &'static [&'static str] {
    match name {
        "range-room" => &["range-room+split", "range-room+spread"],
        "range-time" => &["range-time+spread", "range-time+hours"],
        _ => &[],
    }
}

/// Refuses a list in which a name comes twice: reports tell contestants apart by it.
///
/// # Errors
/// Naming the one that comes twice.
pub fn all_different<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    match names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    }) {
        Some(name) => bail!("{name:?} takes part twice"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy_of_layout;

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    fn parse(name: &str, shards: NonZeroU16) -> Result<Spec> {
        Spec::parse(name, shards, &Catalogue::default())
    }

    #[test]
    fn every_known_name_is_read_and_has_a_strategy_of_its_own_layout() {
        for name in KNOWN {
            let spec = parse(name, FOUR).unwrap();
            assert_eq!(spec.name, name);
            let layout = spec.strategy().unwrap().layout();
            let found = strategy_of_layout(&layout, spec.shards).unwrap();
            assert_eq!(found.layout(), layout, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_those_that_are() {
        for name in ["range", "hash+split", "range-room+hours", "range-room+", "+split", ""] {
            let error = parse(name, FOUR).unwrap_err().to_string();
            assert!(error.contains("range-time+spread") && error.contains(&format!("{name:?}")), "{error}");
        }
        assert!(parse("hash+cache+cache", FOUR).is_err());
    }

    #[test]
    fn a_single_has_one_shard_however_many_the_others_have() {
        assert_eq!(parse("single", FOUR).unwrap().shards.get(), 1);
    }

    #[test]
    fn a_spread_is_as_wide_as_there_are_shards_and_cures_its_plain_variant() {
        let spec = parse("range-time+spread", NonZeroU16::new(3).unwrap()).unwrap();
        assert_eq!(spec.settings, ["range.by=time", "range.spread=3"]);
        assert_eq!(spec.cure_of, Some("range-time"));
        assert_eq!(parse("hash+cache", FOUR).unwrap().cure_of, None);
    }

    #[test]
    fn a_split_puts_the_catalogues_own_hot_rooms_apart() {
        let catalogue = Catalogue { rooms: 40, hot_rooms: 2, ..Catalogue::default() };
        let split = |catalogue| Spec::parse("range-room+split", FOUR, catalogue).unwrap().settings;
        assert_eq!(split(&catalogue), ["range.by=room", "range.boundaries=[1,2,3,22]"]);
        let default = split(&Catalogue::default());
        assert_eq!(default, ["range.by=room", "range.boundaries=[1,2,3,4,5,6,38,70]"]);
    }

    #[test]
    fn the_same_name_twice_is_refused() {
        assert!(all_different(["a", "b", "a"].into_iter()).is_err());
        assert!(all_different(["a", "b"].into_iter()).is_ok());
    }
}
