//! The marks that every change leaves on a data set's servers: where two readings are the same, nothing was written
//! between them.

use anyhow::Context as _;
use mysql_async::prelude::{FromRow, Queryable as _};

use super::cluster::Cluster;
use super::mysql::Database;

/// A reading of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    /// The version of main's catalogue.
    catalogue: u64,
    /// The number of leases of worker numbers that main has noted, and the latest end of one.
    leases: (u64, i64),
    /// For each shard, in order: the last entry of its outbox, its transactions, and the epoch that it has closed. Steps of
    /// results count among transactions.
    shards: Vec<(i64, u64, u64)>,
}

impl Marks {
    /// Reads them over new connections, since those of a pool may have been silent for long.
    pub(super) async fn read(cluster: &Cluster) -> anyhow::Result<Self> {
        let main = &cluster.main;
        let (catalogue,) = row(main, "SELECT COALESCE(MAX(version), 0) FROM catalogue_state").await?;
        let leases = row(main, "SELECT COUNT(*), COALESCE(MAX(lease_end), 0) FROM worker_leases").await?;
        let mut shards = Vec::with_capacity(cluster.shards.len());
        for database in &cluster.shards {
            let sql = "SELECT outbox_id, commits, closed_epoch FROM shard_state";
            shards.push(row(database, sql).await?);
        }
        Ok(Self { catalogue, leases, shards })
    }

    /// Describes what was changed until a later reading.
    pub(super) fn changes_until(&self, later: &Self) -> Vec<String> {
        let catalogue = (self.catalogue != later.catalogue).then(|| "the catalogue was changed".to_owned());
        let leases = (self.leases != later.leases)
            .then(|| "a process has taken or renewed a worker number".to_owned());
        let shards = (0..).zip(self.shards.iter().zip(&later.shards));
        let shards = shards.filter(|(_, (before, after))| before != after);
        let shards = shards.map(|(shard, _): (u16, _)| format!("shard {shard} was written to"));
        catalogue.into_iter().chain(leases).chain(shards).collect()
    }
}

/// The one row that a query answers.
async fn row<T: FromRow + Send + 'static>(database: &Database, sql: &str) -> anyhow::Result<T> {
    let mut conn = database.connect_alone().await?;
    let row: Option<T> = conn.query_first(sql).await.map_err(|error| database.error(&error))?;
    row.with_context(|| format!("{database}: it has lost what it notes of its changes"))
}
