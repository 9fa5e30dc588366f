//! The strategies that are simulated, and what becomes of each when a shard is added.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::Context;
use coupon_core::{Growth, RoomCounts, ShardingStrategy};
use coupon_strategies::{Family, Fit, REGISTER, Spec};

/// One strategy with its settings.
pub(super) struct Variant {
    /// The name in tables.
    pub(super) name: String,
    /// The strategy itself.
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    /// The ways of adding a shard.
    pub(super) growths: Vec<Growth>,
}

/// Every strategy over shards, plain and with its variants; spreads are cut to the shards there are.
///
/// # Errors
/// When settings make no strategy.
pub(super) fn all(shards: NonZeroU16, spread: NonZeroU16, rooms: RoomCounts) -> anyhow::Result<Vec<Variant>> {
    let fit = Fit { spread, rooms: Some(rooms.all), ..Fit::new(shards, rooms) };
    let names = REGISTER.sharded().flat_map(Family::simulated_names);
    names.map(|name| variant(&name, &fit)).collect()
}

fn variant(name: &str, fit: &Fit) -> anyhow::Result<Variant> {
    let more = fit.shards.checked_add(1).context("there is no number for one more shard")?;
    let (spec, width) = (Spec::fitted(name, fit)?, fit.spread.min(fit.shards));
    let strategy = spec.strategy()?;
    let shows_width = spec.is_spread && width > NonZeroU16::MIN;
    let name = if shows_width { format!("{name} {width}") } else { spec.name };
    Ok(Variant { name, growths: strategy.growths(more), strategy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(shards: u16) -> Vec<String> {
        let spread = NonZeroU16::new(4).unwrap();
        let variants = all(NonZeroU16::new(shards).unwrap(), spread, RoomCounts { all: 100, hot: 5 });
        variants.unwrap().into_iter().map(|variant| variant.name).collect()
    }

    #[test]
    fn every_strategy_of_the_register_is_simulated_with_its_variants() {
        let known: Vec<String> = REGISTER.sharded().flat_map(Family::simulated_names).collect();
        assert!(known.len() > 8 && REGISTER.sharded().all(|family| known.contains(&family.name.to_owned())));
        assert_eq!(names(1), known);
    }

    #[test]
    fn a_spread_is_named_with_the_shards_that_it_is_cut_to() {
        assert!(names(2).contains(&"range-time+spread 2".to_owned()));
        assert!(names(8).contains(&"range-time+spread 4".to_owned()));
    }
}
