//! A data set whose shards an engine has: main as everywhere, and lanes in the place of databases.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::schema::{self, Dialect};
use coupon_core::{Lanes, ShardId};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::Instant;

use super::address::{keyspace, lane_database};
use super::ask;
use super::start::{self, EngineAnswers};
use super::vschema::{Sharded, differences, made_by, wanted};
use crate::ids::random_name;
use crate::servers::cluster::{Cluster, Label, Opened, ensure_laid_out, outbox_position};
use crate::servers::format::FORMAT;
use crate::servers::lane::Lane;
use crate::servers::mysql::{Database, ShardDatabase};
use crate::servers::names::Namespace;
use crate::servers::places::Places;
use crate::servers::seam::ShardServer as _;
use crate::settings::ServersSettings;

/// The longest that an engine may take to go by a VSchema that it was given.
const FOLLOWS: Duration = Duration::from_secs(20);
/// The time between two looks whether it does.
const LOOK: Duration = Duration::from_millis(500);

/// An engine's keyspace, and a data set's main beside it.
pub(super) struct InEngine<'a> {
    pub(super) settings: &'a ServersSettings,
    pub(super) lanes: Lanes,
    /// The way to the whole keyspace.
    pub(super) whole: Database,
    pub(super) cluster: Cluster,
}

impl<'a> InEngine<'a> {
    pub(super) fn new(
        settings: &'a ServersSettings,
        namespace: Namespace,
        lanes: Lanes,
    ) -> anyhow::Result<Self> {
        let (pool, engine) = (settings.pool.get(), &settings.engine);
        let keyspace = keyspace(engine)?;
        let main = Database::new("servers.main", &settings.main, &namespace.main_database(), pool)?;
        let keys = (0..lanes.count().get()).filter_map(|lane| lanes.key(ShardId::new(lane)));
        let databases = keys.map(|key| Database::of_engine(engine, &lane_database(keyspace, key), pool));
        let shards = databases.collect::<anyhow::Result<_>>()?;
        let places = Places::of_none(settings, &namespace);
        let whole = Database::of_engine(engine, keyspace, pool)?;
        Ok(Self { settings, lanes, whole, cluster: Cluster { namespace, main, shards, places } })
    }

    /// The lanes, each with its database.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (ShardId, Lane, &Database)> {
        let lane = |(shard, database)| Some((shard, Lane::among(self.lanes, shard)?, database));
        self.cluster.numbered().filter_map(lane)
    }

    /// Opens the data set. Where there is none, makes one that holds the small sample catalogue.
    pub(super) async fn open(&self, layout: &str) -> anyhow::Result<Opened> {
        let (cluster, main) = (&self.cluster, &self.cluster.main);
        let _lock = cluster.lock().await?;
        let label = match cluster.label().await? {
            Some(label) => label,
            None => self.make_sample(layout).await?,
        };
        label.ensure_complete(main)?;
        ensure!(!label.of_before, "{main}: its data is of an earlier version, which had no engines");
        let versions = cluster.versions(&label).await?;
        ensure_laid_out(main, &label, &versions, layout)?;
        cluster.update_main_tables().await?;
        main.check_durability().await?;
        self.check(&self.ask().await?)?;
        let mut down = Vec::new();
        for (shard, lane, database) in self.lanes() {
            let server = ShardDatabase::new(database, shard, &label.dataset).in_lane(lane, None);
            match server.check(outbox_position(main, shard).await?).await {
                Ok(()) => {}
                Err(error) if error.down => down.push((shard, error)),
                Err(error) => return Err(error.into()),
            }
        }
        if down.len() == cluster.shards.len()
            && let Some((_, error)) = down.pop()
        {
            return Err(error.into());
        }
        Ok(Opened { label, cluster: cluster.clone(), versions, down })
    }

    async fn ask(&self) -> anyhow::Result<EngineAnswers> {
        ask::ask(&self.settings.engine, &self.whole).await
    }

    /// Refuses an engine in which a row could be lost, or be where no question leads.
    fn check(&self, answers: &EngineAnswers) -> anyhow::Result<()> {
        let shards = start::check(answers, self.lanes, &wanted()?).with_context(|| self.whole.to_string())?;
        let named: Vec<String> = shards.iter().map(|(shard, _)| shard.to_string()).collect();
        tracing::info!(
            lanes = self.lanes.count(),
            shards = named.join(", "),
            "the engine has what is wanted"
        );
        Ok(())
    }

    async fn make_sample(&self, layout: &str) -> anyhow::Result<Label> {
        let (cluster, dataset) = (&self.cluster, random_name());
        cluster.main.create().await?;
        cluster.update_main_tables().await?;
        self.make_tables().await?;
        self.check(&self.ask().await?)?;
        for (shard, lane, database) in self.lanes() {
            let mut conn = database.connect_alone().await?;
            claim(&mut conn, lane, shard, &dataset).await.map_err(|error| database.error(&error))??;
        }
        cluster.write_label(&dataset, layout, None, &schema::sample(Dialect::MySql)).await?;
        tracing::info!(dataset, "there was no data: it is now a small sample catalogue");
        cluster.label().await?.context("main has no label of the data set that was just made")
    }

    /// Makes the tables, and says by what they are sharded, where nothing of both is there. What is there otherwise is not for us to
    /// change.
    async fn make_tables(&self) -> anyhow::Result<()> {
        let (keyspace, wanted) = (keyspace(&self.settings.engine)?, wanted()?);
        let mut conn = self.whole.connect_alone().await?;
        let failed = |error: mysql_async::Error| self.whole.error(&error);
        let there = ask::sharded(&mut conn, keyspace).await.map_err(failed)?;
        if there.is_empty() {
            for statement in made_by(keyspace, &wanted) {
                conn.query_drop(statement).await.map_err(failed)?;
            }
            self.until_sharded(&mut conn, keyspace, &wanted).await?;
        }
        for statement in schema::engine() {
            conn.query_drop(statement).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until the engine goes by the VSchema that it was given.
    async fn until_sharded(
        &self,
        conn: &mut Conn,
        keyspace: &str,
        wanted: &std::collections::BTreeMap<String, Sharded>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + FOLLOWS;
        loop {
            let there = ask::sharded(conn, keyspace).await.map_err(|error| self.whole.error(&error))?;
            let differ = differences(wanted, &there);
            if differ.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{}: its VSchema differs: {}", self.whole, differ.join("; "));
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Writes into a lane which data set it belongs to, unless it holds results of another: those are not for us to lose.
async fn claim(
    conn: &mut Conn,
    lane: Lane,
    shard: ShardId,
    dataset: &str,
) -> mysql_async::Result<anyhow::Result<()>> {
    conn.query_drop("START TRANSACTION").await?;
    let held = format!("SELECT dataset, results FROM shard_state WHERE {lane} FOR UPDATE");
    let held: Option<(String, i64)> = conn.query_first(lane.named(held)).await?;
    if let Some((other, results)) = held.filter(|(_, results)| *results > 0) {
        conn.query_drop("ROLLBACK").await?;
        return Ok(Err(anyhow::anyhow!(
            "shard {shard}: it holds {results} results of data set {other}, of which main knows nothing"
        )));
    }
    for table in ["shard_meta", "shard_state"] {
        conn.query_drop(lane.named(format!("DELETE FROM {table} WHERE {lane}"))).await?;
    }
    for (name, value) in [("dataset", dataset.to_owned()), ("shard", shard.to_string())] {
        conn.exec_drop(lane.insert("INSERT INTO shard_meta (name, value) VALUES (?, ?)"), (name, value))
            .await?;
    }
    let state = format!(
        "INSERT INTO shard_state (id, dataset, outbox_id, closed_epoch, as_of, results, used, order_amount, messages, \
         received, commits) VALUES ({FORMAT}, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    );
    conn.exec_drop(lane.insert(&state), (dataset,)).await?;
    conn.query_drop("COMMIT").await?;
    Ok(Ok(()))
}
