//! The strategies that are considered.

use std::num::{NonZeroU16, NonZeroU64};

use anyhow::Result;
use coupon_strategies::{Family, Fit, REGISTER, RoomRanges, RoomSettings, SettingValue, Spec};
use serde::Serialize;

use crate::replay::{Recording, equal_work, split};

/// A strategy with its settings.
#[derive(Debug, Clone, Serialize)]
pub struct Alternative {
    /// The name in tables.
    pub name: String,
    /// The specification by which it would be started.
    #[serde(skip)]
    pub spec: Spec,
}

impl Alternative {
    /// The alternative of that name, started as a contestant of another.
    fn new(name: String, contestant: &str, fit: &Fit) -> Result<Self> {
        let spec = Spec { name: name.clone(), ..Spec::fitted(contestant, fit)? };
        Ok(Self { name, spec })
    }

    /// The strategy without its cures.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name.split('+').next().unwrap_or_default()
    }
}

/// Every strategy over shards, plain and spread. One by rooms comes as configured, with as much work in each range,
/// with hot rooms split off, and spread by user over so many shards as are powers of two, or all.
///
/// # Errors
/// When settings make no strategy.
pub fn alternatives(
    recording: &Recording,
    shards: NonZeroU16,
    width: NonZeroU64,
) -> Result<Vec<Alternative>> {
    let rooms = Some(recording.rooms_ahead(width.get()));
    let fit = Fit { shards, spread: shards, split: equal_work(recording, shards), rooms };
    let apart = split(recording, shards);
    let mut all = Vec::new();
    for family in REGISTER.sharded() {
        match family.rooms {
            Some(settings) => all.extend(by_rooms(family, settings, &fit, &apart, width)?),
            None => all.extend(by_others(family, &fit)?),
        }
    }
    Ok(all)
}

/// A strategy for which all rooms are alike.
fn by_others(family: &Family, fit: &Fit) -> Result<Vec<Alternative>> {
    let spread =
        family.variant(SettingValue::Spread).map(|spread| format!("{}+{}", family.name, spread.name));
    let names = std::iter::once(family.name.to_owned()).chain(spread);
    names.map(|name| Alternative::new(name.clone(), &name, fit)).collect()
}

/// A strategy whose ranges of rooms can be fitted to the recording.
fn by_rooms(
    family: &Family,
    settings: RoomSettings,
    fit: &Fit,
    apart: &RoomRanges,
    width: NonZeroU64,
) -> Result<Vec<Alternative>> {
    let plain = family.name;
    let mut configured = Alternative::new(plain.to_owned(), plain, fit)?;
    configured.spec.set(settings.width, &width.to_string());
    let mut all = vec![configured];
    let Some(split) = family.variant(SettingValue::Starts).map(|split| format!("{plain}+{}", split.name))
    else {
        return Ok(all);
    };
    all.push(Alternative::new(format!("{plain}+equal"), &split, fit)?);
    all.push(Alternative::new(split.clone(), &split, &Fit { split: apart.clone(), ..fit.clone() })?);
    if let Some(spread) = family.variant(SettingValue::Spread) {
        for width in spreads(fit.shards) {
            let (name, fit) = (format!("{split}+{}", spread.name), Fit { spread: width, ..fit.clone() });
            all.push(Alternative::new(format!("{plain}+equal+{}{width}", spread.name), &name, &fit)?);
        }
    }
    Ok(all)
}

/// 2, 4, 8, … and all shards.
fn spreads(shards: NonZeroU16) -> Vec<NonZeroU16> {
    let doubled = std::iter::successors(Some(2_u16), |spread| spread.checked_mul(2));
    doubled
        .take_while(|spread| *spread < shards.get())
        .chain((shards.get() > 1).then_some(shards.get()))
        .filter_map(NonZeroU16::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use coupon_core::laws;

    use super::*;

    #[test]
    fn every_alternative_has_a_strategy_that_keeps_the_laws() {
        let mut recording = Recording::default();
        // The laws are tried with rooms up to 100, and a table is made ahead for those that there are.
        recording.rooms.stored = (1..=100).map(|room| if room % 10 == 3 { 50 } else { room % 4 }).collect();
        recording.rooms.ids = (1..=100).collect();
        for shards in [1, 3, 8] {
            let shards = NonZeroU16::new(shards).unwrap();
            let all = alternatives(&recording, shards, NonZeroU64::new(25).unwrap()).unwrap();
            for family in REGISTER.sharded() {
                assert!(all.iter().any(|alternative| alternative.name == family.name), "{}", family.name);
            }
            for alternative in &all {
                let strategy = alternative.spec.strategy().unwrap();
                laws::check(&*strategy, 11).unwrap_or_else(|broken| panic!("{}: {broken}", alternative.name));
            }
        }
    }

    #[test]
    fn spreads_double_up_to_all_shards() {
        let spreads = |shards| -> Vec<u16> {
            spreads(NonZeroU16::new(shards).unwrap()).into_iter().map(NonZeroU16::get).collect()
        };
        assert_eq!(
            (spreads(1), spreads(2), spreads(4), spreads(6)),
            (vec![], vec![2], vec![2, 4], vec![2, 4, 6])
        );
    }
}
