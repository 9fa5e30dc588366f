//! Fills a fresh data set as fast as its servers allow, within bounded memory.
//!
//! Every server has a thread with one connection, so that all of them work while rows are still being made. Rows go in
//! by statements of many rows each, and tables of results get their indexes last. That is safe because the data set
//! counts as incomplete from the first row until [`Bulk::finish`].
//!
//! A load that is to go on where it was cut short ([`BulkFilling::Resumable`]) takes a row that is there already for what it
//! stored before.

mod loader;
pub(crate) mod rows;

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{self, Receiver};

use anyhow::{Context as _, bail};
use coupon_core::{
    Coupon, CouponDetails, CouponResult, LiveRoom, Placement, ShardId, ShardingStrategy, StockLog, TableId,
    Timestamp, User,
};
use coupon_store::carried::{CarriedRow, CarriedTable};
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;
use coupon_store::{BulkFilling, Totals};
use mysql_async::Value;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::{self, Runtime};

use self::loader::{Job, Loader};
use self::rows::{BYTES, Columns, ROWS, insert};
use super::at_work::RENEWED_WITHIN;
use super::cluster::{Cluster, UnfinishedDataSet};
use super::lane::Lane;
use super::mysql::Database;
use super::rooms;
use super::wipe::wipe_unused;

/// A bulk load under way. Dropping it leaves the data set incomplete.
///
/// It is for programs without a runtime of their own: its methods block.
#[derive(Debug)]
pub struct Bulk {
    cluster: Cluster,
    main: Loader,
    /// By shard, in order.
    shards: Vec<Loader>,
    placements: HashSet<Placement>,
    indexed: Receiver<()>,
    /// Keeps every other process from making or opening the data set meanwhile.
    making: UnfinishedDataSet,
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
        Self::of(cluster, making, BulkFilling::Once, runtime)
    }

    /// Makes an empty data set for a strategy that is to become a copy of the one with the id `source`, or goes on with
    /// what an earlier run of the same copy has made, on the servers that its shards were made on. With `anew` it first
    /// removes what a copy has made there that was cut short.
    ///
    /// # Errors
    /// When a setting cannot be used, a server does not answer, or there is any other data.
    pub fn begin_copy(
        settings: &ServersSettings,
        strategy: &dyn ShardingStrategy,
        source: &str,
        anew: bool,
    ) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let cluster = Cluster::new(settings, strategy)?;
        let (cluster, making) = runtime.block_on(async {
            let making = cluster.begin_copy(&strategy.layout(), source, anew.then_some(settings)).await?;
            anyhow::Ok((cluster.recorded().await?, making))
        })?;
        Self::of(cluster, making, BulkFilling::Resumable, runtime)
    }

    fn of(
        cluster: Cluster,
        mut making: UnfinishedDataSet,
        filling: BulkFilling,
        runtime: Runtime,
    ) -> anyhow::Result<Self> {
        let kept = runtime.block_on(making.lock.keep_for_days());
        kept.map_err(|error| cluster.main.error(&error))?;
        // Without a receiver, since main was made with its indexes and none need counting.
        let main = Loader::start("bulk-main", &cluster.main, Lane::ONLY, filling, mpsc::channel().0)?;
        let (index_made, indexed) = mpsc::channel();
        let start = |(shard, database): (ShardId, &Database)| {
            let lane = cluster.lane(shard);
            Loader::start(&format!("bulk-{shard}"), database, lane, filling, index_made.clone())
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
            let loader = self.shards.get_mut(shard.index());
            loader.with_context(|| format!("there is no shard {shard}"))?.send(Job::Results(rows))?;
        }
        Ok(())
    }

    /// Stores rows of a table of main as another data set has them.
    ///
    /// # Errors
    /// When main refused them, or earlier rows.
    pub fn carried(&mut self, table: &CarriedTable, rows: &[CarriedRow]) -> anyhow::Result<()> {
        let values = rows.iter().map(|row| row.iter().map(rows::carried).collect());
        self.send_all(values, |count| rows::insert_carried(table, count))
    }

    /// Makes sure that whatever was handed over so far is committed, and notes in main how far that is.
    ///
    /// # Errors
    /// When a server refused something, or does not answer.
    pub fn settle(&mut self, name: &str, reached: &str) -> anyhow::Result<()> {
        let (settled, told) = mpsc::channel();
        for loader in self.shards.iter_mut().chain([&mut self.main]) {
            loader.send(Job::Settle(settled.clone()))?;
        }
        drop(settled);
        // Ends when every loader has answered, or has given up and dropped its sender.
        if told.iter().count() <= self.shards.len() {
            for loader in self.shards.drain(..) {
                loader.end()?;
            }
            bail!("a server's thread has ended before its work");
        }
        self.runtime.block_on(async {
            let kept = self.making.lock.keep().await;
            kept.map_err(|error| self.cluster.main.error(&error))?;
            self.cluster.note(name, reached).await
        })
    }

    /// Main's notes under names that begin so.
    ///
    /// # Errors
    /// When main does not answer.
    pub fn notes(&self, prefix: &str) -> anyhow::Result<BTreeMap<String, String>> {
        self.runtime.block_on(self.cluster.notes(prefix))
    }

    /// Makes the indexes, writes its sums into every shard, and only then marks the data set complete. Returns the rows of each
    /// shard. `progress` is called with the number of tables that have their indexes, and with the number of all.
    ///
    /// # Errors
    /// When anything could not be stored, two results of a user and a coupon in one table included.
    pub fn finish(self, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<Vec<u64>> {
        let (indexed, sums) = self.index(progress)?;
        indexed.open(&sums, &[], &[])?;
        Ok(sums.iter().map(|sums| sums.results).collect())
    }

    /// Makes the indexes. The data set stays incomplete. Returns it with the sums over the results that each shard was
    /// handed by this load.
    ///
    /// # Errors
    /// As for [`Self::finish`].
    pub fn index(self, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<(Indexed, Vec<Totals>)> {
        let Self { cluster, mut main, mut shards, placements, indexed, making, runtime } = self;
        for loader in shards.iter_mut().chain([&mut main]) {
            loader.send(Job::Finish)?;
        }
        let total = placements.len() as u64;
        progress(0, total);
        // Ends when the last loader does, and drops its sender.
        for (made, ()) in (1_u64..).zip(indexed.iter()) {
            progress(made, total.max(made));
        }
        main.end()?;
        let sums = shards.into_iter().map(Loader::end).collect::<anyhow::Result<Vec<_>>>()?;
        Ok((Indexed { cluster, making, runtime }, sums))
    }

    fn store<T: Columns>(&mut self, table: &str, rows: &[T]) -> anyhow::Result<()> {
        let values = rows.iter().map(|row| {
            let mut values = Vec::with_capacity(T::COLUMNS.len());
            row.bind(&mut values);
            values
        });
        self.send_all(values, |count| insert(table, T::COLUMNS, count))
    }

    /// Sends rows to main, in statements that are not too long.
    fn send_all(
        &mut self,
        rows: impl Iterator<Item = Vec<Value>>,
        insert: impl Fn(usize) -> String,
    ) -> anyhow::Result<()> {
        let (mut values, mut bytes, mut count) = (Vec::new(), 0, 0);
        for row in rows {
            bytes += row.iter().map(size).sum::<usize>();
            values.extend(row);
            count += 1;
            if count == ROWS || bytes > BYTES {
                let values = std::mem::take(&mut values);
                self.main.send(Job::Insert { sql: insert(count), values })?;
                (bytes, count) = (0, 0);
            }
        }
        if count > 0 {
            self.main.send(Job::Insert { sql: insert(count), values })?;
        }
        Ok(())
    }
}

/// A data set whose rows and indexes are there, and which no process opens yet.
#[derive(Debug)]
pub struct Indexed {
    cluster: Cluster,
    making: UnfinishedDataSet,
    /// Last, so that whatever lives on it goes first.
    runtime: Runtime,
}

impl Indexed {
    /// Its databases.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Makes its room index, or goes on with one that was cut short; `told` is called with the number of rows that the index has,
    /// and with the number of all rows.
    ///
    /// # Errors
    /// When a database cannot be used.
    pub fn make_room_index(&self, told: &mut dyn FnMut(u64, u64)) -> anyhow::Result<()> {
        self.runtime.block_on(rooms::build_in(&self.cluster, told))
    }

    /// Writes its sums into every shard, and the worker numbers by which ids were made as given back at the time of the
    /// last; then marks the data set complete, with notes in its label.
    ///
    /// # Errors
    /// When a server cannot be written.
    pub fn open(
        self,
        sums: &[Totals],
        workers: &[(u16, Timestamp)],
        notes: &[(&str, String)],
    ) -> anyhow::Result<()> {
        let Self { cluster, making, runtime } = self;
        runtime.block_on(async {
            for ((shard, database), sums) in cluster.numbered().zip(sums) {
                let lane = cluster.lane(shard);
                tell(database, lane, &making.dataset, sums, Clock::system().now()).await?;
            }
            cluster.note_workers(workers).await?;
            cluster.complete_with(notes).await
        })
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
async fn tell(
    database: &Database,
    lane: Lane,
    dataset: &str,
    sums: &Totals,
    as_of: Timestamp,
) -> anyhow::Result<()> {
    let failed = |error| database.error(&error);
    let mut conn = database.connect_alone().await?;
    let sql = "UPDATE shard_state SET results = ?, used = ?, order_amount = ?, given_back = ?, as_of = ? \
               WHERE dataset = ?";
    let Totals { results, used, order_amount, given_back } = sums;
    let sums = (results, used, order_amount.to_string(), given_back, as_of.millis(), dataset);
    conn.exec_drop(lane.only(sql), sums).await.map_err(failed)?;
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
