//! The rows of each part of a shard that can be moved as a whole.

use std::collections::BTreeMap;

use coupon_core::{Mix, Placement, RowKey, SLOTS, ShardId, ShardingStrategy, TableId};
use coupon_measure::random::Random;

use super::super::keys::{self, KeyDistribution};
use super::super::measure::Windows;

/// A part of a shard's rows that moves as a whole: one of its tables or, where it has only one, the users of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Slot(u64),
    Table(TableId),
}

impl Unit {
    fn of(placement: Placement, row: &RowKey) -> Self {
        match placement.table {
            TableId::Single => Self::Slot(Mix::Xxh3.hash(row.user.get()) % u64::from(SLOTS)),
            table => Self::Table(table),
        }
    }
}

/// Rows written during a sale, and rows stored before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) written: u64,
    pub(super) stored: u64,
}

/// Drawn rows, the same each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) keys: &'a KeyDistribution,
    pub(super) windows: Windows,
    pub(super) rows: u64,
    pub(super) seed: u64,
}

impl Drawn<'_> {
    /// Each row twice: as it is written during the sale, and as one that was stored before.
    fn each(self, mut see: impl FnMut(RowKey, RowKey) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut random = Random::new(self.seed, 0);
        for _ in 0..self.rows {
            let row = self.keys.row(&mut random, self.windows.sale)?;
            see(row, RowKey { time: keys::moment(&mut random, self.windows.stored), ..row })?;
        }
        Ok(())
    }

    /// The rows of each unit of each shard.
    pub(super) fn units(
        self,
        strategy: &dyn ShardingStrategy,
    ) -> anyhow::Result<BTreeMap<(ShardId, Unit), Rows>> {
        let mut units = BTreeMap::<(ShardId, Unit), Rows>::new();
        self.each(|sold, stored| {
            let place = |row: &RowKey| -> anyhow::Result<(ShardId, Unit)> {
                let placement = strategy.place(row)?;
                Ok((placement.shard, Unit::of(placement, row)))
            };
            units.entry(place(&sold)?).or_default().written += 1;
            units.entry(place(&stored)?).or_default().stored += 1;
            Ok(())
        })?;
        Ok(units)
    }

    /// The part of stored rows that are not where another strategy looks, whose shards are these, in its order.
    #[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
    pub(super) fn not_found(
        self,
        strategy: &dyn ShardingStrategy,
        by: &dyn ShardingStrategy,
        shards: &[ShardId],
    ) -> anyhow::Result<f64> {
        let mut not_found = 0_u64;
        self.each(|_, stored| {
            let looked = shards.get(by.place(&stored)?.shard.index()).copied();
            not_found += u64::from(looked != Some(strategy.place(&stored)?.shard));
            Ok(())
        })?;
        Ok(not_found as f64 / self.rows.max(1) as f64)
    }
}
