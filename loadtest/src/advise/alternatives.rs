//! The strategies that are considered.

use std::num::{NonZeroU16, NonZeroU64};

use anyhow::{Context, Result};
use coupon_lab::Spec;
use range_svc::RoomRanges;
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
    /// The strategy without its cures.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name.split('+').next().unwrap_or_default()
    }
}

/// Hash, days, and rooms: as configured, with as much work in each range, with hot rooms split off, and spread by user over
/// so many shards as are powers of two, or all.
///
/// # Errors
/// When settings make no strategy.
pub fn alternatives(
    recording: &Recording,
    shards: NonZeroU16,
    width: NonZeroU64,
) -> Result<Vec<Alternative>> {
    let (equal, apart) = (equal_work(recording, shards), split(recording, shards));
    let make = |name: &str, base: &str, ranges: &RoomRanges, set: &[(&str, String)]| {
        let mut spec = Spec::with_split(base, shards, ranges).context("this program's own name")?;
        name.clone_into(&mut spec.name);
        for (key, value) in set {
            let key = format!("{key}=");
            spec.settings.retain(|setting| !setting.starts_with(&key));
            spec.settings.push(format!("{key}{value}"));
        }
        anyhow::Ok(Alternative { name: name.to_owned(), spec })
    };
    let rooms = ("range.rooms", recording.rooms.labels.len().max(1).to_string());
    let mut all = vec![
        make("hash", "hash", &equal, &[])?,
        make("range-time", "range-time", &equal, &[])?,
        make("range-time+spread", "range-time+spread", &equal, &[])?,
        make("range-room", "range-room", &equal, &[rooms.clone(), ("range.room_width", width.to_string())])?,
        make("range-room+equal", "range-room+split", &equal, std::slice::from_ref(&rooms))?,
        make("range-room+split", "range-room+split", &apart, std::slice::from_ref(&rooms))?,
    ];
    for spread in spreads(shards) {
        let name = format!("range-room+equal+spread{spread}");
        let set = [rooms.clone(), ("range.spread", spread.to_string())];
        all.push(make(&name, "range-room+split+spread", &equal, &set)?);
    }
    Ok(all)
}

/// 2, 4, 8, … and all shards.
fn spreads(shards: NonZeroU16) -> Vec<u16> {
    let doubled = std::iter::successors(Some(2_u16), |spread| spread.checked_mul(2));
    doubled
        .take_while(|spread| *spread < shards.get())
        .chain((shards.get() > 1).then_some(shards.get()))
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
        recording.rooms.labels = (1..=100).map(|room| room.to_string()).collect();
        for shards in [1, 3, 8] {
            let shards = NonZeroU16::new(shards).unwrap();
            let all = alternatives(&recording, shards, NonZeroU64::new(25).unwrap()).unwrap();
            for alternative in &all {
                let strategy = alternative.spec.strategy().unwrap();
                laws::check(&*strategy, 11).unwrap_or_else(|broken| panic!("{}: {broken}", alternative.name));
            }
        }
    }

    #[test]
    fn spreads_double_up_to_all_shards() {
        let spreads = |shards| spreads(NonZeroU16::new(shards).unwrap());
        assert_eq!(
            (spreads(1), spreads(2), spreads(4), spreads(6)),
            (vec![], vec![2], vec![2, 4], vec![2, 4, 6])
        );
    }
}
