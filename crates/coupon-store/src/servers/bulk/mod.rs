//! Fills a fresh data set as fast as its servers allow, within bounded memory.
//!
//! Every server has a thread with one connection, so that all of them work while rows are still being made. Rows go in
//! by statements of many rows each, and tables of results get their indexes last. That is safe because the data set
//! counts as incomplete from the first row until [`Bulk::finish`].

mod lane;
pub(in crate::servers) mod rows;

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{self, Receiver};

use anyhow::{Context as _, bail};
use coupon_core::{
    Coupon, CouponDetails, CouponResult, LiveRoom, Placement, ShardId, ShardingStrategy, StockLog, TableId,
    Timestamp, User,
};
use mysql_async::Value;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::{self, Runtime};

use self::lane::{Job, Lane};
use self::rows::{BYTES, Columns, ROWS, insert};
use super::at_work::RENEWED_WITHIN;
use super::cluster::{Cluster, Making};
use super::mysql::Database;
use super::wipe::wipe_unused;
use crate::Totals;
use crate::clock::Clock;
use crate::settings::ServersSettings;

/// A bulk load under way. Dropping it leaves the data set incomplete.
///
/// It is for programs without a runtime of their own: its methods block.
#[derive(Debug)]
pub struct Bulk {
    cluster: Cluster,
    main: Lane,
    /// By shard, in order.
    shards: Vec<Lane>,
    placements: HashSet<Placement>,
    indexed: Receiver<()>,
    /// Keeps every other process from making or opening the data set meanwhile.
    making: Making,
    /// Last, so that whatever lives on it goes first.
    runtime: Runtime,
}

impl Bulk {
    /// Makes an empty data set for a strategy and begins to load it. With `reset` it first removes the one that is
    /// there, with its keys and queues.
    ///
    /// # Errors
    /// When a setting cannot be used, a server does not answer, or, without `reset`, there is data already; with it,
    /// when services are at work on that.
    pub fn begin(
        settings: &ServersSettings,
        strategy: &dyn ShardingStrategy,
        reset: bool,
    ) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let cluster = Cluster::new(settings, strategy)?;
        let making = runtime.block_on(async {
            if reset {
                wipe_unused(&cluster, settings, tokio::time::sleep(RENEWED_WITHIN)).await?;
            }
            cluster.create(&strategy.layout()).await
        })?;
        // Without a receiver, since main was made with its indexes and none need counting.
        let main = Lane::start("bulk-main", &cluster.main, mpsc::channel().0)?;
        let (index_made, indexed) = mpsc::channel();
        let start = |(shard, database): (ShardId, &Database)| {
            Lane::start(&format!("bulk-{shard}"), database, index_made.clone())
        };
        let shards = cluster.numbered().map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self { cluster, main, shards, placements: HashSet::new(), indexed, making, runtime })
    }

    /// The new data set's id.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.making.dataset
    }

    /// The prefix of its databases, and main's address.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} on {}", self.cluster.namespace.as_str(), self.cluster.main.host())
    }

    /// Stores users.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn users(&mut self, users: &[User]) -> anyhow::Result<()> {
        self.store("users", users)
    }

    /// Stores rooms.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn rooms(&mut self, rooms: &[LiveRoom]) -> anyhow::Result<()> {
        self.store("live_rooms", rooms)
    }

    /// Stores coupons.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn coupons(&mut self, coupons: &[Coupon]) -> anyhow::Result<()> {
        self.store("coupons", coupons)
    }

    /// Stores the wide halves of coupons.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn details(&mut self, details: &[CouponDetails]) -> anyhow::Result<()> {
        self.store("coupon_details", details)
    }

    /// Stores stock logs.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn stock_logs(&mut self, logs: &[StockLog]) -> anyhow::Result<()> {
        self.store("stock_logs", logs)
    }

    /// Hands results to their shards' threads; waits when a shard is more than a few batches behind. Some
    /// thousands at a time, in the order of their ids, is what it does best.
    ///
    /// # Errors
    /// When a shard refused earlier results, or there is no such shard.
    pub fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> anyhow::Result<()> {
        let mut per_shard = BTreeMap::<ShardId, Vec<(TableId, CouponResult)>>::new();
        for (placement, row) in rows {
            self.placements.insert(placement);
            per_shard.entry(placement.shard).or_default().push((placement.table, row));
        }
        for (shard, rows) in per_shard {
            let lane = self.shards.get_mut(shard.index());
            lane.with_context(|| format!("there is no shard {shard}"))?.send(Job::Results(rows))?;
        }
        Ok(())
    }

    /// Makes the indexes, writes its sums into every shard, and only then marks the data set complete. Returns the
    /// rows of each shard. `progress` hears how many tables have their indexes, and of how many.
    ///
    /// # Errors
    /// When anything could not be stored, two results of a user and a coupon in one table included.
    pub fn finish(self, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<Vec<u64>> {
        let Self { cluster, mut main, mut shards, placements, indexed, making, runtime } = self;
        for lane in shards.iter_mut().chain([&mut main]) {
            lane.send(Job::Finish)?;
        }
        let total = placements.len() as u64;
        progress(0, total);
        // Ends when the last lane does, and drops its sender.
        for (made, ()) in (1..).zip(indexed.iter()) {
            progress(made, total);
        }
        main.end()?;
        let sums = shards.into_iter().map(Lane::end).collect::<anyhow::Result<Vec<_>>>()?;
        runtime.block_on(async {
            for (database, sums) in cluster.shards.iter().zip(&sums) {
                tell(database, &making.dataset, sums, Clock::system().now()).await?;
            }
            cluster.complete().await
        })?;
        Ok(sums.iter().map(|sums| sums.results).collect())
    }

    fn store<T: Columns>(&mut self, table: &str, rows: &[T]) -> anyhow::Result<()> {
        let (mut values, mut bytes, mut count) = (Vec::new(), 0, 0);
        for row in rows {
            let begin = values.len();
            row.bind(&mut values);
            bytes += values.iter().skip(begin).map(size).sum::<usize>();
            count += 1;
            if count == ROWS || bytes > BYTES {
                let sql = insert(table, T::COLUMNS, count);
                self.main.send(Job::Insert { sql, values: std::mem::take(&mut values) })?;
                (bytes, count) = (0, 0);
            }
        }
        if count > 0 {
            self.main.send(Job::Insert { sql: insert(table, T::COLUMNS, count), values })?;
        }
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => size_of::<i64>(),
    }
}

/// Writes into a shard the sums over its rows. The pool was idle while rows were handed over: after a minute of that
/// the servers close its connections, and it would not notice.
async fn tell(database: &Database, dataset: &str, sums: &Totals, as_of: Timestamp) -> anyhow::Result<()> {
    let failed = |error| database.error(&error);
    let mut conn = database.connect_alone().await?;
    let sql = "UPDATE shard_state SET results = ?, used = ?, order_amount = ?, given_back = ?, as_of = ? \
               WHERE id = 1 AND dataset = ?";
    let Totals { results, used, order_amount, given_back } = sums;
    let sums = (results, used, order_amount.to_string(), given_back, as_of.millis(), dataset);
    conn.exec_drop(sql, sums).await.map_err(failed)?;
    if conn.affected_rows() != 1 {
        bail!("{database}: somebody else has taken it for another data set meanwhile");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_counts_and_a_number_is_eight_bytes() {
        assert_eq!(size(&Value::from("abcdefghijkl")), 12);
        assert_eq!(size(&Value::from(7_i64)) + size(&Value::NULL), 16);
    }
}
