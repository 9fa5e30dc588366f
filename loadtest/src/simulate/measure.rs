//! Routes rows by a variant and counts where they go.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow};
use coupon_core::{
    Plan, ResultQuery, RowKey, ShardId, ShardingStats, ShardingStrategy, TimeRange, Timestamp,
};
use coupon_measure::random::Random;

use super::keys::{self, KeyDistribution};
use super::variants::Variant;
use super::{FanOut, Reshard, ShardEvenness};

/// Rows are drawn in blocks, each with a seed for itself, so that figures do not depend on the threads.
const BLOCK: u64 = 1 << 18;
const QUERIES: u64 = 500;
const HOUR: i64 = 3_600_000;

/// A kind of query: its name, and how a row it should find makes it.
type QueryKind = (&'static str, fn(&RowKey) -> ResultQuery);

/// The two windows that rows are made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// The hour of a sale: what is being written at one time.
    pub(super) sale: TimeRange,
    /// The days whose rows are stored.
    pub(super) stored: TimeRange,
}

/// The counts of a routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    written: Vec<u64>,
    stored: Vec<u64>,
    growths: Vec<GrowthCounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct GrowthCounts {
    moved: u64,
    on_the_new_shard: u64,
}

impl Counts {
    fn none(variant: &Variant) -> Self {
        let shards = usize::from(variant.strategy.shard_count().get());
        Self {
            written: vec![0; shards],
            stored: vec![0; shards],
            growths: vec![GrowthCounts::default(); variant.growths.len()],
        }
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.written, &other.written), (&mut self.stored, &other.stored)] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        for (mine, theirs) in self.growths.iter_mut().zip(&other.growths) {
            mine.moved += theirs.moved;
            mine.on_the_new_shard += theirs.on_the_new_shard;
        }
    }

    /// The evenness of the sale's writes.
    pub(super) fn written(&self) -> ShardEvenness {
        ShardEvenness::of(&ShardingStats::of_counts(&self.written))
    }

    /// The evenness of stored rows.
    pub(super) fn stored(&self) -> ShardEvenness {
        ShardEvenness::of(&ShardingStats::of_counts(&self.stored))
    }

    /// The rows that each growth moves.
    #[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
    pub(super) fn reshards(&self, variant: &Variant) -> Vec<Reshard> {
        let rows = self.stored.iter().sum::<u64>().max(1) as f64;
        let each = variant.growths.iter().zip(&self.growths);
        each.map(|(growth, counts)| Reshard {
            how: growth.how.to_owned(),
            moved: counts.moved as f64 / rows,
            new_shard_share: counts.on_the_new_shard as f64 / rows,
        })
        .collect()
    }
}

/// Routes `rows` rows of the sale, and as many stored ones under the map of today and those of one more shard.
///
/// # Errors
/// When a row has no place.
pub(super) fn route(
    variant: &Variant,
    keys: &KeyDistribution,
    windows: Windows,
    rows: u64,
    seed: u64,
    threads: usize,
) -> anyhow::Result<Counts> {
    let next = AtomicU64::new(0);
    let work = || -> anyhow::Result<Counts> {
        let mut counts = Counts::none(variant);
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            let Some(left) = rows.checked_sub(block * BLOCK).filter(|left| *left > 0) else {
                return Ok(counts);
            };
            let mut random = Random::new(seed, block);
            for _ in 0..left.min(BLOCK) {
                let row = keys.row(&mut random, windows.sale)?;
                route_one(variant, row, keys::moment(&mut random, windows.stored), &mut counts)?;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut total = Counts::none(variant);
        for worker in workers {
            total.add(&worker.join().map_err(|_| anyhow!("a thread that routed rows panicked"))??);
        }
        Ok(total)
    })
}

fn route_one(
    variant: &Variant,
    row: RowKey,
    stored_at: Timestamp,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    count(&mut counts.written, variant.strategy.place(&row)?.shard)?;
    let row = RowKey { time: stored_at, ..row };
    let home = variant.strategy.place(&row)?.shard;
    count(&mut counts.stored, home)?;
    for (growth, tally) in variant.growths.iter().zip(&mut counts.growths) {
        let new_home = growth.after.place(&row)?.shard;
        tally.moved += u64::from(new_home != home);
        tally.on_the_new_shard += u64::from(new_home.index() == counts.stored.len());
    }
    Ok(())
}

fn count(counts: &mut [u64], shard: ShardId) -> anyhow::Result<()> {
    *counts
        .get_mut(shard.index())
        .with_context(|| format!("shard {shard} is beyond the shards there are"))? += 1;
    Ok(())
}

/// The evenness of given rows over the shards.
///
/// # Errors
/// When a row has no place.
pub(crate) fn rows_of_shards(
    strategy: &dyn ShardingStrategy,
    rows: impl Iterator<Item = RowKey>,
) -> anyhow::Result<ShardingStats> {
    let mut stored = vec![0; usize::from(strategy.shard_count().get())];
    for row in rows {
        let place = strategy.place(&row);
        count(
            &mut stored,
            place.with_context(|| format!("{} has no place for a row", strategy.name()))?.shard,
        )?;
    }
    Ok(ShardingStats::of_counts(&stored))
}

/// The number of rows whose place differs between two strategies: what a change from the one to the other has to move.
///
/// # Errors
/// When a row has no place.
pub(crate) fn rows_to_move(
    before: &dyn ShardingStrategy,
    after: &dyn ShardingStrategy,
    rows: impl Iterator<Item = anyhow::Result<RowKey>>,
) -> anyhow::Result<u64> {
    let mut moved = 0;
    for row in rows {
        let row = row?;
        moved += u64::from(before.place(&row)? != after.place(&row)?);
    }
    Ok(moved)
}

/// The kinds of queries that are asked.
const KINDS: [QueryKind; 5] = [
    ("a user's coupons", |row| ResultQuery::of_user(row.user)),
    ("a room's orders", |row| ResultQuery::of_room(row.room)),
    ("recent, 1 h", |row| ResultQuery::within(TimeRange::new(row.time.plus_millis(-HOUR), row.time))),
    ("by result id", |row| ResultQuery::everything().at(row.time)),
    ("global", |_| ResultQuery::everything()),
];

/// The rows that queries are asked about.
fn asked(keys: &KeyDistribution, windows: Windows, seed: u64) -> anyhow::Result<Vec<RowKey>> {
    let mut random = Random::new(seed, u64::MAX);
    let rows = (0..QUERIES).map(|_| keys.row(&mut random, windows.stored)).collect::<Result<Vec<_>, _>>();
    Ok(rows?)
}

/// The shards and tables that each kind of query visits, on average over random rows it is asked about.
///
/// # Errors
/// When more users or rooms were asked for than there are ids.
pub(super) fn fan_out(
    strategy: &dyn ShardingStrategy,
    keys: &KeyDistribution,
    windows: Windows,
    seed: u64,
) -> anyhow::Result<Vec<FanOut>> {
    Ok(fan_out_about(strategy, &asked(keys, windows, seed)?, windows.stored))
}

/// The part of each kind of query that visits one of some shards, over the same rows.
///
/// # Errors
/// As [`fan_out`].
#[expect(clippy::cast_precision_loss, reason = "queries are few")]
pub(super) fn queries_that_visit(
    strategy: &dyn ShardingStrategy,
    keys: &KeyDistribution,
    windows: Windows,
    seed: u64,
    shards: impl Fn(&ShardId) -> bool,
) -> anyhow::Result<Vec<(String, f64)>> {
    let rows = asked(keys, windows, seed)?;
    let shard_count = strategy.shard_count().get();
    let part = |(query, make): &QueryKind| {
        let visits = |row: &&RowKey| strategy.plan(&make(row)).shards(shard_count).iter().any(&shards);
        ((*query).to_owned(), rows.iter().filter(visits).count() as f64 / QUERIES as f64)
    };
    Ok(KINDS.iter().map(part).collect())
}

/// The same over given rows, where rows were stored during `stored`.
#[expect(clippy::cast_precision_loss, reason = "shards and tables are far below 2^53")]
pub(super) fn fan_out_about(
    strategy: &dyn ShardingStrategy,
    rows: &[RowKey],
    stored: TimeRange,
) -> Vec<FanOut> {
    let shard_count = strategy.shard_count().get();
    let every_table = strategy.tables(stored).len();
    let mean = |(query, make): &QueryKind| {
        let (mut shards, mut tables) = (0, 0);
        for row in rows {
            let plan = strategy.plan(&make(row));
            shards += plan.shards(shard_count).len();
            tables += match plan {
                Plan::One(_) => 1,
                Plan::Some(placements) => placements.len(),
                Plan::All => every_table,
            };
        }
        let queries = rows.len().max(1) as f64;
        FanOut {
            query: (*query).to_owned(),
            shards: shards as f64 / queries,
            tables: tables as f64 / queries,
        }
    };
    KINDS.iter().map(mean).collect()
}
