//! The shards of a data set: each made, held against what main says of it, and joined by further ones.

use anyhow::{Context as _, bail, ensure};
use coupon_core::ShardId;
use coupon_core::books::Behind;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable as _;

use super::Cluster;
use super::label::{Label, read_meta};
use crate::format;
use crate::mysql::{Database, DatabaseError, ShardDatabase};
use crate::seam::ShardServer as _;
use crate::{places, rooms};

impl Cluster {
    /// Makes a shard's database and tables, and writes into it which data set it belongs to, and by which list of gates it goes.
    pub(super) async fn make_shard(
        &self,
        shard: ShardId,
        database: &Database,
        dataset: &str,
        gate_list: u64,
    ) -> anyhow::Result<()> {
        database.create().await?;
        self.update_shard_tables(database, false).await?;
        let key = format::of(self.gates.count());
        claim_shard(database, shard, dataset, (key, gate_list)).await
    }

    /// Makes the shards that are asked for beyond those that there are: a layout may use them later.
    pub(super) async fn prepare_further(&self, label: Label, gate_list: u64) -> anyhow::Result<Label> {
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        if shards <= label.shards {
            return Ok(label);
        }
        for (shard, database) in self.numbered().skip(usize::from(label.shards)) {
            self.make_shard(shard, database, &label.dataset, gate_list).await?;
            if label.rooms.is_some() {
                let mut conn = database.connect().await?;
                rooms::make_tables(&mut conn).await.map_err(|error| database.error(&error))?;
            }
        }
        let written = async {
            let mut conn = self.main.connect().await?;
            let failed = |error| self.main.error(&error);
            places::record(&mut conn, &self.places, shards).await.map_err(failed)?;
            let sql = "REPLACE INTO meta (name, value) VALUES ('shards', ?)";
            conn.exec_drop(sql, (shards.to_string(),)).await.map_err(failed)
        };
        written.await.context("cannot write that there are further shards")?;
        tracing::info!(before = label.shards, shards, "further shards are prepared");
        Ok(Label { shards, ..label })
    }

    /// Makes sure that a shard belongs to the data set, and has everything that main has applied.
    ///
    /// # Errors
    /// When it does not, has not, or cannot be asked.
    pub async fn check_shard(&self, shard: ShardId, dataset: &str) -> Result<(), DatabaseError> {
        let Some(database) = self.shards.get(shard.index()) else { return Ok(()) };
        let server = ShardDatabase::new(database, shard, dataset).in_lane(self.lane(shard), None);
        server.check(outbox_position(&self.main, shard).await?).await
    }
}

/// Makes sure that a database is a shard of the data set, and has written the entries of its outbox up to the last that main has
/// applied.
pub(crate) async fn check_shard(
    database: &Database,
    shard: ShardId,
    dataset: &str,
    told: i64,
) -> Result<(), DatabaseError> {
    let meta = read_meta(database, "shard_meta").await?;
    let said = |name: &str| meta.get(name).map_or("none", String::as_str);
    if (said("dataset"), said("shard")) != (dataset, &shard.to_string()) {
        let why = format!(
            "it is shard {} of data set {}, and not shard {shard} of data set {dataset}, which main holds",
            said("shard"),
            said("dataset")
        );
        return Err(database.failed(why, false));
    }
    let mut conn = database.connect().await?;
    let has: Option<i64> = conn
        // Whatever its key is: one of before has another.
        .query_first("SELECT outbox_id FROM shard_state")
        .await
        .map_err(|error| database.error(&error))?;
    Behind::refuse(told, has.unwrap_or(0)).map_err(|behind| database.failed(behind.to_string(), false))
}

/// Writes into a shard which data set it belongs to, unless it holds results of another: those are not for us to lose.
async fn claim_shard(
    database: &Database,
    shard: ShardId,
    dataset: &str,
    (key, gate_list): (&str, u64),
) -> anyhow::Result<()> {
    let failed = |error| database.error(&error);
    let mut conn = database.connect().await?;
    let holds: Option<(String, i64)> = conn
        .query_first("SELECT dataset, results FROM shard_state WHERE results > 0")
        .await
        .map_err(failed)?;
    if let Some((other, results)) = holds {
        ensure!(
            other != dataset,
            "{database}: it holds {results} results of this data set, and main does not know of shard {shard}: main is of an \
             earlier time than the shards"
        );
        bail!(
            "{database}: it holds {results} results of data set {other}, of which main knows nothing: seed with --reset"
        );
    }
    let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
    for row in [("dataset", dataset.to_owned()), ("shard", shard.to_string())] {
        transaction
            .exec_drop("REPLACE INTO shard_meta (name, value) VALUES (?, ?)", row)
            .await
            .map_err(failed)?;
    }
    transaction.query_drop("DELETE FROM shard_state").await.map_err(failed)?;
    transaction
        .exec_drop(
            format!(
                "INSERT INTO shard_state (id, dataset, outbox_id, closed_epoch, as_of, results, used, order_amount, \
                 messages, received, commits, gate_list) VALUES ({key}, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, {gate_list})"
            ),
            (dataset,),
        )
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(())
}

/// The last entry of a shard's outbox that main has applied.
pub(crate) async fn outbox_position(main: &Database, shard: ShardId) -> Result<i64, DatabaseError> {
    let mut conn = main.connect().await?;
    let position: Option<i64> = conn
        .exec_first("SELECT outbox_id FROM outbox_positions WHERE shard = ?", (shard.number(),))
        .await
        .map_err(|error| main.error(&error))?;
    Ok(position.unwrap_or(0))
}
