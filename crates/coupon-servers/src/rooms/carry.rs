//! Carries the shards' entries to the room index.
//!
//! Any number of processes may do so at once: a shard of the index takes from one of them at a time, and what it has already it
//! takes from none.

use std::time::Duration;

use anyhow::Context as _;
use coupon_core::{ShardId, Timestamp};
use coupon_store::room_index::{IndexEntry, WrittenEntries};
use futures_util::future::join_all;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use super::{ENTRIES, RoomDatabases, forget, note, positions, put, reached, waiting};

/// A database that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says when a shard has stored everything that was acknowledged before, by what is known of it; none while it is not known.
pub(crate) type AsOf<'a> = dyn Fn(ShardId) -> Option<Timestamp> + Sync + 'a;

impl RoomDatabases {
    /// Carries everything that was committed before to every shard of the index. What one of them does not take holds up no
    /// other.
    pub(crate) async fn carry(&self, as_of: &AsOf<'_>) -> Vec<anyhow::Result<()>> {
        join_all(self.places.all().map(|to| self.carry_all_to(to, as_of))).await
    }

    /// Carries everything that was committed before to a shard of the index.
    pub(crate) async fn carry_all_to(&self, to: ShardId, as_of: &AsOf<'_>) -> anyhow::Result<()> {
        while timeout(PATIENCE, self.carry_to(to, as_of)).await.context("it did not answer in time")?? {}
        Ok(())
    }

    /// Carries some entries to a shard of the index. Says whether there may be more.
    pub(super) async fn carry_to(&self, to: ShardId, as_of: &AsOf<'_>) -> anyhow::Result<bool> {
        let mut more = false;
        let mut found = Vec::new();
        for (from, database) in (0..).map(ShardId::new).zip(&self.databases) {
            // Before its entries are read: what is acknowledged before then has its entry by then. The entries of a shard that is
            // down, or has lost data, are carried once it is back; the index says since when.
            let Some(as_of) = as_of(from) else { continue };
            let mut conn = database.connect().await?;
            let entries = waiting(&mut conn, to).await.with_context(|| format!("{database}"))?;
            let all = entries.len() < ENTRIES;
            more |= !all;
            found.push(Found { from, entries, as_of: if all { as_of } else { Timestamp::default() } });
        }
        self.take_in(to, &found).await?;
        for Found { from, entries, .. } in found.iter().filter(|found| !found.entries.is_empty()) {
            let Some(database) = self.databases.get(from.index()) else { continue };
            let mut conn = database.connect().await?;
            forget(&mut conn, to, entries).await.map_err(|error| database.error(&error))?;
        }
        Ok(more)
    }

    /// The entries that a shard has written for a shard of the index.
    async fn reached(&self, from: ShardId, to: ShardId) -> anyhow::Result<WrittenEntries> {
        let database = self.databases.get(from.index()).context("there is no such shard")?;
        let mut conn = database.connect().await?;
        Ok(reached(&mut conn, to).await.map_err(|error| database.error(&error))?)
    }

    /// Has a shard of the index take in what it lacks of these, in one transaction.
    async fn take_in(&self, to: ShardId, found: &[Found]) -> anyhow::Result<()> {
        let database = self.databases.get(to.index()).context("there is no such shard")?;
        // It is held while the pools are asked for others, this shard's own among them.
        let mut conn = database.connect_to_lock().await?;
        let failed = |error| database.error(&error);
        let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
        // Processes that carry entries to this shard take turns by this row.
        let dataset: Option<String> = transaction
            .query_first("SELECT value FROM shard_meta WHERE name = 'dataset' FOR UPDATE")
            .await
            .map_err(failed)?;
        anyhow::ensure!(
            dataset.as_ref() == Some(&self.dataset),
            "{database}: it does not hold data set {}",
            self.dataset
        );
        let positions = positions(&mut transaction).await.map_err(failed)?;
        let mut noted = Vec::with_capacity(found.len());
        for Found { from, entries, as_of } in found {
            let has = positions.get(from).copied().unwrap_or(0);
            // After the position was read, which no other process changes while the row above is locked: it cannot be behind what
            // follows here.
            self.reached(*from, to).await?.check(to, *from, has)?;
            let lacks: Vec<_> =
                entries.iter().filter(|entry| entry.id > has).flat_map(|entry| entry.rows.clone()).collect();
            put(&mut transaction, &lacks).await.map_err(failed)?;
            noted.push((*from, entries.last().map_or(has, |entry| entry.id), *as_of));
        }
        note(&mut transaction, &noted).await.map_err(failed)?;
        Ok(transaction.commit().await.map_err(failed)?)
    }
}

/// The entries that a shard has for a shard of the index.
struct Found {
    from: ShardId,
    entries: Vec<IndexEntry>,
    /// Every grab acknowledged before is among these entries, or those before.
    as_of: Timestamp,
}
