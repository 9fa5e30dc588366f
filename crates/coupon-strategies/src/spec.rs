//! The meaning of a contestant's name, such as `range-room+split`.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use coupon_core::{RoomCounts, ShardingStrategy};
use range_svc::RoomRanges;

use crate::{Baseline, Family, REGISTER, Register, SettingValue, Variant, VariantRole};

/// The sizes that a contestant's settings follow from.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The shards that there are.
    pub shards: NonZeroU16,
    /// The number of shards that +spread stands for; all of them, where there are fewer.
    pub spread: NonZeroU16,
    /// The ranges of rooms that +split stands for.
    pub split: RoomRanges,
    /// The rooms that tables are made ahead for, if it is not the services' default.
    pub rooms: Option<u64>,
}

impl Fit {
    /// Hot rooms in ranges of their own, and spreads over all shards.
    #[must_use]
    pub fn new(shards: NonZeroU16, rooms: RoomCounts) -> Self {
        let split = RoomRanges::hot_rooms_apart(rooms, shards);
        Self { shards, spread: shards, split, rooms: None }
    }
}

/// The way to start a contestant, and the place of its rows.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name in reports.
    pub name: String,
    /// The program that serves it: a name, to be found beside this one, or an absolute path.
    pub program: Cow<'static, str>,
    /// The number of its shards.
    pub shards: NonZeroU16,
    /// The settings for `--set`.
    pub settings: Vec<String>,
    /// The plain variant whose hotspot it is to cure, if it is a cure.
    pub cure_of: Option<&'static str>,
    /// The strategy without its variants.
    pub family: &'static Family,
    /// The baseline, if it is one.
    pub baseline: Option<&'static Baseline>,
    /// True when a range of it is spread over shards.
    pub is_spread: bool,
}

impl Spec {
    /// Reads a name of this workspace's register; the hot rooms that +split stands for are the first of these.
    ///
    /// # Errors
    /// For a name that stands for nothing; the error lists the names that do.
    pub fn parse(name: &str, shards: NonZeroU16, rooms: impl Into<RoomCounts>) -> Result<Self> {
        Self::fitted(name, &Fit::new(shards, rooms.into()))
    }

    /// The same, fitted to these sizes.
    ///
    /// # Errors
    /// For a name that stands for nothing; the error lists the names that do.
    pub fn fitted(name: &str, fit: &Fit) -> Result<Self> {
        REGISTER.spec(name, fit)
    }

    /// Gives a setting this value, whatever it was.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|setting| setting.split('=').next() != Some(key));
        self.settings.push(format!("{key}={value}"));
    }

    /// The strategy that the service will follow, made from the same settings.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn strategy(&self) -> Result<Arc<dyn ShardingStrategy>> {
        let (section, choice) = (format!("{}.", self.family.program.section()), self.family.chosen_by());
        let own = |set: &&String| set.starts_with(&section) && Some(*set) != choice.as_ref();
        let sets: Vec<String> = self.settings.iter().filter(own).cloned().collect();
        self.family.strategy(self.shards, &sets).with_context(|| self.name.clone())
    }
}

impl Register {
    /// Reads a contestant's name: a strategy, and variants of it after a `+` each.
    ///
    /// # Errors
    /// For a name that stands for nothing; the error lists the names that do.
    pub fn spec(self, name: &str, fit: &Fit) -> Result<Spec> {
        let known = || format!("contestant {name:?} is not known; known are {}", self.known().join(", "));
        let mut parts = name.split('+');
        let plain = parts.next().unwrap_or_default();
        let baseline = self.baselines.iter().find(|baseline| baseline.name == plain);
        let family = self.all().find(|family| family.name == plain);
        let family = family.or(baseline.map(|baseline| baseline.family)).with_context(known)?;
        let shards = family.shards(fit.shards);
        let mut spec = Spec {
            name: name.to_owned(),
            program: family.program.name().into(),
            shards,
            settings: family.chosen_by().into_iter().collect(),
            cure_of: None,
            family,
            baseline,
            is_spread: false,
        };
        spec.settings.extend(baseline.iter().flat_map(|baseline| baseline.settings).map(ToString::to_string));
        for part in parts {
            let mut variants = family.variants.iter().chain(self.everywhere);
            let variant = variants.find(|variant| variant.name == part).with_context(known)?;
            let setting = format!("{}={}", variant.setting, value(variant, fit));
            ensure!(!spec.settings.contains(&setting), "{name:?} says +{part} twice");
            spec.settings.push(setting);
            spec.is_spread |= variant.value == SettingValue::Spread;
            if variant.role != VariantRole::Option {
                spec.cure_of = Some(family.name);
            }
        }
        if let (Some(settings), Some(rooms)) = (family.rooms, fit.rooms) {
            spec.set(settings.count, &rooms.to_string());
        }
        Ok(spec)
    }
}

fn value(variant: &Variant, fit: &Fit) -> String {
    match variant.value {
        SettingValue::Fixed(value) => value.to_owned(),
        SettingValue::Spread => fit.spread.min(fit.shards).to_string(),
        SettingValue::Starts => match &fit.split {
            RoomRanges::Starts(starts) => {
                format!("[{}]", starts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            RoomRanges::Equal(_) | RoomRanges::Placed(_) => String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();
    const ROOMS: RoomCounts = RoomCounts { all: 100, hot: 5 };

    fn parse(name: &str, shards: NonZeroU16) -> Result<Spec> {
        Spec::parse(name, shards, ROOMS)
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
    fn a_baseline_is_one_shard_whose_database_decides() {
        for name in ["update", "update-batched"] {
            let spec = parse(name, FOUR).unwrap();
            assert_eq!((spec.shards.get(), spec.baseline.map(|baseline| baseline.name)), (1, Some(name)));
            assert!(spec.settings.contains(&"grab.decided_by=database".to_owned()), "{spec:?}");
            assert_eq!(
                spec.strategy().unwrap().layout(),
                parse("single", FOUR).unwrap().strategy().unwrap().layout()
            );
        }
        assert!(parse("single", FOUR).unwrap().baseline.is_none());
    }

    #[test]
    fn a_spread_is_as_wide_as_there_are_shards_and_cures_its_plain_variant() {
        let spec = parse("range-time+spread", NonZeroU16::new(3).unwrap()).unwrap();
        assert_eq!(spec.settings, ["range.by=time", "range.spread=3"]);
        assert_eq!(spec.cure_of, Some("range-time"));
        assert_eq!(parse("hash+cache", FOUR).unwrap().cure_of, None);
    }

    #[test]
    fn a_spread_is_cut_to_the_shards_there_are() {
        let fit = |shards| Fit { spread: FOUR, ..Fit::new(NonZeroU16::new(shards).unwrap(), ROOMS) };
        let spread = |shards| Spec::fitted("range-time+spread", &fit(shards)).unwrap().settings;
        assert_eq!(spread(2), ["range.by=time", "range.spread=2"]);
        assert_eq!(spread(8), ["range.by=time", "range.spread=4"]);
    }

    #[test]
    fn a_split_puts_the_catalogues_own_hot_rooms_apart() {
        let split = |rooms| Spec::parse("range-room+split", FOUR, rooms).unwrap().settings;
        let few = RoomCounts { all: 40, hot: 2 };
        assert_eq!(split(few), ["range.by=room", "range.boundaries=[1,2,3,22]"]);
        assert_eq!(split(ROOMS), ["range.by=room", "range.boundaries=[1,2,3,4,5,6,38,70]"]);
    }

    #[test]
    fn tables_are_made_ahead_for_the_rooms_that_there_are_where_rooms_place_rows() {
        let fit = Fit { rooms: Some(7), ..Fit::new(FOUR, ROOMS) };
        assert_eq!(Spec::fitted("range-room", &fit).unwrap().settings, ["range.by=room", "range.rooms=7"]);
        assert_eq!(Spec::fitted("range-time", &fit).unwrap().settings, ["range.by=time"]);
    }

    #[test]
    fn a_setting_is_replaced() {
        let mut spec = parse("range-time+spread", FOUR).unwrap();
        spec.set("range.spread", "2");
        assert_eq!(spec.settings, ["range.by=time", "range.spread=2"]);
    }
}
