//! A keyspace as the place of a data set's lanes: its tables, and what they are sharded by.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use coupon_core::schema::{self, Dialect};
use coupon_core::{Lanes, ShardId};
use coupon_store::settings::{ServerUrl, ServersSettings};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::Instant;

use super::address::{keyspace_in, lane_database};
use super::ask;
use super::start::{self, EngineAnswers};
use super::vschema::{Sharded, differences, made_by, wanted};
use crate::cluster::{Cluster, HasShards, Label, Opened, ensure_laid_out};
use crate::format;
use crate::gates::GateList;
use crate::lane::Lane;
use crate::mysql::Database;
use crate::names::Namespace;
use crate::places::Places;

/// The column by which lanes' tables are sharded.
const LANE: &str = "lane";
/// The longest that an engine may take to go by a VSchema that it was given.
const FOLLOWS: Duration = Duration::from_secs(20);
/// The time between two looks whether it does.
const LOOK: Duration = Duration::from_millis(500);

/// An engine's keyspace, cut into lanes.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    url: ServerUrl,
    pub(super) lanes: Lanes,
    /// The way to all of it.
    pub(super) whole: Database,
}

/// The main of a data set whose shards an engine has, and its lanes in the place of databases.
///
/// # Errors
/// When a setting is missing or cannot be used; the error names it.
pub(crate) fn cluster(
    settings: &ServersSettings,
    namespace: Namespace,
    lanes: NonZeroU16,
) -> anyhow::Result<Cluster> {
    let lanes = Lanes::new(lanes).with_context(|| format!("an engine cannot have {lanes} lanes"))?;
    Keyspace::new(settings, lanes)?.cluster(settings, namespace)
}

impl Keyspace {
    pub(super) fn new(settings: &ServersSettings, lanes: Lanes) -> anyhow::Result<Self> {
        let url = settings.engine.clone();
        let whole = Database::of_engine(&url, keyspace_in(&url)?, settings.pool.get())?;
        Ok(Self { url, lanes, whole })
    }

    pub(super) fn cluster(
        &self,
        settings: &ServersSettings,
        namespace: Namespace,
    ) -> anyhow::Result<Cluster> {
        let pool = settings.pool.get();
        let main = Database::new("servers.main", &settings.main, &namespace.main_database(), pool)?;
        let keys = (0..self.lanes.count().get()).filter_map(|lane| self.lanes.key(ShardId::new(lane)));
        let address = |key| Database::of_engine(&self.url, &lane_database(self.whole.name(), key), pool);
        let shards = keys.map(address).collect::<anyhow::Result<_>>()?;
        let places = Places::of_none(settings, &namespace);
        let (gates, engine) = (GateList::of(settings)?, Some(Arc::new(self.clone()) as Arc<dyn HasShards>));
        Ok(Cluster { namespace, main, shards, gates, places, engine })
    }

    /// Opens the data set. Where there is none, makes one that holds the small sample catalogue.
    pub(super) async fn open(&self, cluster: &Cluster, layout: &str) -> anyhow::Result<Opened> {
        let main = &cluster.main;
        let _lock = cluster.lock().await?;
        let label = match cluster.label().await? {
            Some(label) => label,
            None => self.make_sample(cluster, layout).await?,
        };
        label.ensure_complete(main)?;
        ensure!(!label.of_before, "{main}: its data is of an earlier version, which had no engines");
        let versions = cluster.versions(&label).await?;
        ensure_laid_out(main, &label, &versions, layout)?;
        ensure!(
            label.keyspace.as_deref() == Some(self.whole.name()),
            "{main}: its rows are in keyspace {}, and setting `servers.engine` leads to {}",
            label.keyspace.as_deref().unwrap_or("of no name"),
            self.whole.name()
        );
        cluster.update_main_tables().await?;
        main.check_durability().await?;
        self.check(&self.ask().await?)?;
        let gate_list = cluster.agree_on_gates(label.shards).await?;
        let mut down = Vec::new();
        for (shard, _) in cluster.numbered() {
            match cluster.check_shard(shard, &label.dataset).await {
                Ok(()) => cluster.ensure_gates_at(shard, gate_list).await?,
                Err(error) if error.down => down.push((shard, error)),
                Err(error) => return Err(error.into()),
            }
        }
        if down.len() == cluster.shards.len()
            && let Some((_, error)) = down.pop()
        {
            return Err(error.into());
        }
        Ok(Opened { label, cluster: cluster.clone(), versions, gate_list, down })
    }

    async fn ask(&self) -> anyhow::Result<EngineAnswers> {
        ask::ask(&self.url, &self.whole).await
    }

    /// Refuses an engine in which a row could be lost, or be where no question leads.
    fn check(&self, answers: &EngineAnswers) -> anyhow::Result<()> {
        let shards = start::check(answers, self.lanes, &wanted()?).with_context(|| self.whole.to_string())?;
        let shards: Vec<String> = shards.iter().map(|(shard, _)| shard.to_string()).collect();
        let (lanes, shards) = (self.lanes.count(), shards.join(", "));
        tracing::info!(lanes, shards, "the engine has what is wanted");
        Ok(())
    }

    async fn make_sample(&self, cluster: &Cluster, layout: &str) -> anyhow::Result<Label> {
        let dataset = cluster.make_tables().await?;
        cluster.write_label(&dataset, layout, None, &schema::sample(Dialect::MySql)).await?;
        tracing::info!(dataset, "there was no data: it is now a small sample catalogue");
        cluster.label().await?.context("main has no label of the data set that was just made")
    }

    /// Makes the tables, and says by what they are sharded, where nothing of both is there. What is there otherwise is not for us
    /// to change.
    async fn make_tables(&self) -> anyhow::Result<()> {
        let (keyspace, wanted) = (self.whole.name(), wanted()?);
        let mut conn = self.whole.connect_alone().await?;
        let failed = |error: mysql_async::Error| self.whole.error(&error);
        let there = ask::sharded(&mut conn, keyspace).await.map_err(failed)?;
        if there.is_empty() {
            for statement in made_by(keyspace, &wanted) {
                conn.query_drop(statement).await.map_err(failed)?;
            }
            self.until_sharded(&mut conn, &wanted).await?;
        }
        for statement in schema::engine() {
            conn.query_drop(statement).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until the engine goes by the VSchema that it was given.
    async fn until_sharded(&self, conn: &mut Conn, wanted: &BTreeMap<String, Sharded>) -> anyhow::Result<()> {
        let deadline = Instant::now() + FOLLOWS;
        loop {
            let there = ask::sharded(conn, self.whole.name()).await;
            let differ = differences(wanted, &there.map_err(|error| self.whole.error(&error))?);
            if differ.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{}: its VSchema differs: {}", self.whole, differ.join("; "));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The data sets that its lanes belong to.
    async fn held(&self, conn: &mut Conn) -> mysql_async::Result<Vec<String>> {
        let tables: Vec<String> = conn.query("SHOW TABLES").await?;
        if !tables.iter().any(|table| table == "shard_meta") {
            return Ok(Vec::new());
        }
        conn.query("SELECT DISTINCT value FROM shard_meta WHERE name = 'dataset'").await
    }
}

#[async_trait]
impl HasShards for Keyspace {
    fn keyspace(&self) -> &str {
        self.whole.name()
    }

    fn lane(&self, shard: ShardId) -> Option<Lane> {
        Lane::among(self.lanes, shard)
    }

    async fn make(&self, cluster: &Cluster, dataset: &str) -> anyhow::Result<()> {
        self.make_tables().await?;
        self.check(&self.ask().await?)?;
        let wanted = wanted()?;
        let by_lane = wanted.iter().filter(|(_, by)| by.column == LANE).map(|(table, _)| &**table);
        let by_lane: Vec<&str> = by_lane.collect();
        for (shard, database) in cluster.numbered() {
            let mut conn = database.connect_alone().await?;
            let key = format::of(cluster.gates.count());
            let claimed = claim(&mut conn, cluster.lane(shard), &by_lane, (shard, dataset, key)).await;
            claimed.map_err(|error| database.error(&error))??;
        }
        Ok(())
    }

    async fn remove(&self, dataset: Option<&str>) -> anyhow::Result<()> {
        // What main knows nothing of may be another main's.
        let Some(dataset) = dataset else { return Ok(()) };
        let mut conn = self.whole.connect_alone().await?;
        let failed = |error: mysql_async::Error| self.whole.error(&error);
        let held = self.held(&mut conn).await.map_err(failed)?;
        if let Some(other) = held.iter().find(|held| *held != dataset) {
            anyhow::bail!("{}: it holds data set {other}, of which main knows nothing", self.whole);
        }
        for table in wanted()?.keys() {
            conn.query_drop(format!("DROP TABLE IF EXISTS {table}")).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Empties a lane's tables, and writes there which data set it belongs to, unless it holds results of another: those are not for
/// us to lose.
async fn claim(
    conn: &mut Conn,
    lane: Lane,
    by_lane: &[&str],
    (shard, dataset, key): (ShardId, &str, &str),
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
    for table in by_lane {
        conn.query_drop(lane.named(format!("DELETE FROM {table} WHERE {lane}"))).await?;
    }
    for (name, value) in [("dataset", dataset.to_owned()), ("shard", shard.to_string())] {
        conn.exec_drop(lane.insert("INSERT INTO shard_meta (name, value) VALUES (?, ?)"), (name, value))
            .await?;
    }
    let state = format!(
        "INSERT INTO shard_state (id, dataset, outbox_id, closed_epoch, as_of, results, used, order_amount, messages, \
         received, commits) VALUES ({key}, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    );
    conn.exec_drop(lane.insert(&state), (dataset,)).await?;
    conn.query_drop("COMMIT").await?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use coupon_store::settings::{NoSettings, Sources};

    use super::*;

    #[test]
    fn each_lane_has_an_address_of_its_own() {
        let engine = "servers.engine=mysql://u:s3cret@gate:1/results".to_owned();
        let flags = vec![engine, "servers.main=mysql://u:s3cret@main:1".to_owned()];
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { flags, service_defaults, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let namespace = Namespace::new("n", "own").unwrap();
        let cluster = cluster(&settings.servers, namespace, NonZeroU16::new(4).unwrap()).unwrap();
        let names: Vec<String> = cluster.shards.iter().map(ToString::to_string).collect();
        assert_eq!(names[1], "setting `servers.engine`: MySQL at gate:1, database results[40]");
        let lanes: Vec<String> =
            cluster.numbered().map(|(shard, _)| cluster.lane(shard).to_string()).collect();
        assert_eq!(lanes, ["lane = X'00'", "lane = X'40'", "lane = X'80'", "lane = X'c0'"]);
    }
}
