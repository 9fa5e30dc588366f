//! A change of the layout in the middle of every turn: over more shards, or hot rooms set apart, with rows moved while
//! the load goes on.
//!
//! Every turn is on data that was seeded for it, so that each begins with the same layout and the same rows.

mod args;
mod judge;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_core::{LayoutChange, RoomId, RowKey, ShardingStrategy};
use coupon_lab::Deployment;
use coupon_lab::growth::{ChangeEvent, Changer, CompletedChange, LayoutStep};
use coupon_loadgen::load::{LoadSpec, Outcome};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_report::model::{Figure, GrowthRound, ShardRound};
use coupon_seeding::{SeedOptions, history_keys};
use coupon_strategies::Spec;

pub use self::args::GrowthArgs;
pub(crate) use self::judge::key_of;
use self::judge::{Written, keys_of};
use super::observer::Watcher;
use super::sampler::Sample;
use crate::simulate::rows_to_move;

/// A change of the layout in the middle of every turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGrowth {
    /// The change.
    pub step: LayoutStep,
    /// The time after the load's start.
    pub at: Duration,
    /// The most rows to move in a second.
    pub rate: NonZeroU32,
}

impl PlannedGrowth {
    /// The shards that have to be there ahead of the change, if it wants more than there are.
    #[must_use]
    pub const fn shards(&self) -> Option<NonZeroU16> {
        match self.step {
            LayoutStep::Shards(shards) => Some(shards),
            LayoutStep::SplitHot { .. } => None,
        }
    }

    /// The reason why a contestant cannot change so, if it cannot.
    ///
    /// # Errors
    /// When its settings contradict each other.
    pub fn refusal(&self, spec: &Spec, catalogue: &CatalogueSpec) -> Result<Option<String>> {
        let change = match self.step {
            LayoutStep::Shards(_) if spec.family.shards.is_some() => {
                return Ok(Some(format!("{} has as many shards as it has, by definition", spec.family.name)));
            }
            LayoutStep::Shards(shards) => LayoutChange::Shards(shards),
            LayoutStep::SplitHot { .. } => {
                let rooms = (1..=catalogue.hot_rooms).map(RoomId::new).collect::<Result<Vec<_>, _>>();
                LayoutChange::Split(rooms.context("the workload's hot rooms")?)
            }
        };
        Ok(change.of(&*spec.strategy()?).err().map(|error| error.to_string()))
    }
}

/// The change of a contestant's layout, and everything that is known ahead of it.
#[derive(Debug)]
pub(super) struct Planned {
    growth: PlannedGrowth,
    before: Arc<dyn ShardingStrategy>,
    /// The options that its past was seeded with.
    seed: SeedOptions,
    /// Rows of the warm-up.
    warm_up: Vec<RowKey>,
}

impl Planned {
    /// The change of a contestant's layout, or the reason why it cannot change so.
    pub(super) fn of(
        growth: &PlannedGrowth,
        spec: &Spec,
        catalogue: &CatalogueSpec,
        seed: &SeedOptions,
    ) -> Result<Result<Self, String>> {
        if let Some(why) = growth.refusal(spec, catalogue)? {
            return Ok(Err(why));
        }
        let (growth, seed) = (growth.clone(), seed.clone());
        Ok(Ok(Self { growth, before: spec.strategy()?, seed, warm_up: Vec::new() }))
    }

    /// Takes note of what a warm-up left behind.
    pub(super) fn warmed_up(&mut self, outcome: &Outcome) {
        self.warm_up = keys_of(outcome).map(|(_, key)| key).collect();
    }

    /// Has the layout changed when its time comes, counted from `began`, in view of the observer, if there is one.
    pub(super) fn start(&self, running: &Deployment, began: Instant, watcher: Option<&Watcher>) -> Changer {
        let PlannedGrowth { step, at, rate } = self.growth;
        let watcher = watcher.cloned();
        Changer::start(&running.target, step, began + at, rate, move |event: ChangeEvent<'_>| {
            if let Some(watcher) = &watcher {
                watcher.growth(began, &event);
            }
        })
    }

    /// True if a load that was stopped so long after its start ended before the change.
    pub(super) fn is_too_late(&self, load: &LoadSpec, ended: Duration) -> bool {
        let stopped = load.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        stopped && ended < self.growth.at
    }

    /// The findings about a turn in which the layout was changed.
    pub(super) fn judge(
        &self,
        changed: &CompletedChange,
        outcome: &Outcome,
        load: &LoadSpec,
    ) -> Result<Grown> {
        let (layout, from) = (&changed.version.layout, changed.version.from);
        let after = self.before.of_layout(layout);
        let after = after.with_context(|| format!("nobody can read the layout {layout:?} back"))?;
        let written = Written::of(outcome, &*self.before, &*after, from)?;
        let earlier = written.keys_before(from).chain(self.warm_up.iter().copied()).map(Ok);
        let predicted = rows_to_move(&*self.before, &*after, history_keys(&self.seed).chain(earlier));
        let rows_predicted = predicted
            .map_or_else(|error| Figure::unknown(format!("{error:#}")), |rows| Figure::of(rows as f64));
        let round = GrowthRound { rows_predicted, ..judge::round(changed, outcome, load, &written) };
        Ok(Grown { round, written })
    }
}

/// The findings about a turn in which the layout was changed.
pub(super) struct Grown {
    pub(super) round: GrowthRound,
    written: Written,
}

impl Grown {
    /// Has a shard's rows be those of the grabs that were placed there: its own count includes rows that were moved.
    pub(super) fn own_rows(&self, shards: &mut [ShardRound]) {
        for (at, shard) in shards.iter_mut().enumerate() {
            shard.rows_written = Figure::of(self.written.on(at) as f64);
            if let Some(flow) = &mut shard.flow {
                flow.lag_ms_max = Figure::unknown("rows were moved between the shards meanwhile");
            }
        }
    }

    /// Samples of a turn whose rows are these, likewise.
    pub(super) fn own_samples(&self, samples: &[Sample]) -> Vec<Sample> {
        self.written.samples(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(step: LayoutStep, name: &str) -> Option<String> {
        let catalogue = CatalogueSpec::default();
        let spec = Spec::parse(name, NonZeroU16::new(4).unwrap(), &catalogue).unwrap();
        let growth =
            PlannedGrowth { step, at: Duration::from_secs(1), rate: coupon_service::growth::ROWS_PER_S };
        growth.refusal(&spec, &catalogue).unwrap()
    }

    #[test]
    fn a_strategy_that_cannot_change_so_says_why() {
        let grow = LayoutStep::Shards(NonZeroU16::new(8).unwrap());
        for name in ["hash", "range-time", "range-room", "range-room+split"] {
            assert_eq!(refusal(grow, name), None, "{name}");
        }
        assert!(refusal(grow, "single").unwrap().contains("by definition"));
        let split = LayoutStep::SplitHot { rooms: 100 };
        assert_eq!(refusal(split, "range-room"), None);
        for name in ["hash", "range-time", "single"] {
            let why = refusal(split, name).unwrap();
            assert!(why.contains("cannot give ranges of their own to rooms 1, 2"), "{name}: {why}");
        }
    }
}
