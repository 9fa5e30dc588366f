//! Flags that change the layout of contestants in the middle of their turns.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use anyhow::{Result, ensure};
use coupon_cli::duration::parse_duration;
use coupon_cli::numbers::nonzero;
use coupon_lab::growth::LayoutStep;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_strategies::Spec;

use crate::compare::PlannedGrowth;

/// The rows that move in a second unless set otherwise: more than a service moves by itself, since turns are short.
const ROWS_PER_S: NonZeroU32 = NonZeroU32::new(5_000).unwrap();
/// The shards of contestants unless set otherwise.
const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// A change of the layout.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct GrowthArgs {
    /// In each turn, go on from so many shards over so many others, so long after its start, such as 4:8@10s, and have rows moved
    /// while the load goes on. Every turn is on data of its own
    #[arg(long, value_name = "FROM:TO@TIME", value_parser = grow, conflicts_with = "split")]
    grow: Option<Grow>,
    /// In each turn, give the rooms that the service names as hot ranges of their own, so long after its start
    #[arg(long, value_name = "hot@TIME", value_parser = split)]
    split: Option<Duration>,
    /// After --grow or --split: the most rows to move in a second [default: 5000]
    #[arg(long, value_name = "ROWS", value_parser = nonzero::<NonZeroU32>)]
    rebalance_rate: Option<NonZeroU32>,
}

/// `4:8@10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grow {
    from: NonZeroU16,
    to: NonZeroU16,
    at: Duration,
}

fn grow(text: &str) -> Result<Grow, String> {
    let form = || "give the shards before and after, and the time, such as 4:8@10s".to_owned();
    let (shards, at) = text.split_once('@').ok_or_else(form)?;
    let (from, to) = shards.split_once(':').ok_or_else(form)?;
    let count = |text: &str| text.parse::<NonZeroU16>().map_err(|_| form());
    let grow = Grow { from: count(from)?, to: count(to)?, at: parse_duration(at)? };
    if grow.from == grow.to { Err(format!("{} shards are as many as before", grow.to)) } else { Ok(grow) }
}

fn split(text: &str) -> Result<Duration, String> {
    let at = text.strip_prefix("hot@").ok_or("give the time, such as hot@10s")?;
    parse_duration(at)
}

impl GrowthArgs {
    /// The change that is asked for.
    pub(super) fn wanted(&self, catalogue: &CatalogueSpec) -> Result<Option<PlannedGrowth>> {
        let step = match (self.grow, self.split) {
            (Some(grow), _) => Some((LayoutStep::Shards(grow.to), grow.at)),
            (None, at) => at.map(|at| (LayoutStep::SplitHot { rooms: catalogue.rooms }, at)),
        };
        ensure!(
            step.is_some() || self.rebalance_rate.is_none(),
            "--rebalance-rate has no effect without --grow or --split: leave it out"
        );
        let rate = self.rebalance_rate.unwrap_or(ROWS_PER_S);
        Ok(step.map(|(step, at)| PlannedGrowth { step, at, rate }))
    }

    /// The flag that asks for it.
    pub(super) const fn flag(&self) -> &'static str {
        if self.grow.is_some() { "--grow" } else { "--split" }
    }

    /// The shards that contestants begin with.
    pub(super) fn shards(&self, given: Option<NonZeroU16>) -> Result<NonZeroU16> {
        let Some(Grow { from, .. }) = self.grow else { return Ok(given.unwrap_or(SHARDS)) };
        ensure!(
            given.is_none_or(|given| given == from),
            "--shards: --grow begins with {from} shards; leave out one of the two"
        );
        Ok(from)
    }

    /// Has contestants prepare the shards that they are to go on over; at least one of them must be able to change so.
    pub(super) fn prepare(
        &self,
        growth: &PlannedGrowth,
        contestants: &mut [Spec],
        catalogue: &CatalogueSpec,
    ) -> Result<()> {
        let mut refusals = Vec::new();
        for spec in contestants.iter_mut() {
            match (growth.refusal(spec, catalogue)?, growth.shards()) {
                (Some(why), _) => refusals.push(format!("{}: {why}", spec.name)),
                (None, Some(shards)) => spec.set("shards_prepared", &shards.to_string()),
                (None, None) => {}
            }
        }
        ensure!(
            refusals.len() < contestants.len(),
            "{}: no contestant can change so ({})",
            self.flag(),
            refusals.join("; ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_and_when() {
        let from_four = Grow {
            from: NonZeroU16::new(4).unwrap(),
            to: NonZeroU16::new(8).unwrap(),
            at: Duration::from_secs(10),
        };
        assert_eq!((grow("4:8@10s"), split("hot@500ms")), (Ok(from_four), Ok(Duration::from_millis(500))));
        for text in ["", "8@10s", "4:8", "4:0@1s", "4:4@1s", "4:8@0s", "4:8@soon"] {
            assert!(grow(text).is_err(), "{text}");
        }
        assert!(split("cold@10s").is_err() && split("hot").is_err());
    }
}
