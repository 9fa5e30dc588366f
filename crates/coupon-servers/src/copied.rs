//! A data set's rows on servers as a copy reads them: in the order of their keys, a few thousand at a time. Nothing of it is
//! changed.

use anyhow::{Context as _, bail, ensure};
use coupon_core::schema::Dialect;
use coupon_core::{CouponResult, Placement, ShardId, TableId};
use coupon_store::carried::{CarriedRow, CarriedTable, PUT_BACK, Waits};
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;
use coupon_store::statements;
use mysql_async::prelude::{FromValue, Queryable as _};
use mysql_async::{Conn, Row};
use tokio::runtime::{self, Runtime};

use super::at_work::{RENEWED_WITHIN, processes_at_work};
use super::cluster::{Cluster, Label, SetupLock};
use super::lane::written;
use super::layouts;
use super::marks::Marks;
use super::mysql::Database;
use super::names::Namespace;
use super::rebuild::RETIRED;
use super::values;
use super::waits::waits;

/// A data set on servers that no service is at work on, nor begins to be for as long as this lives.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) cluster: Cluster,
    label: Label,
    settings: ServersSettings,
    pub(super) lock: SetupLock,
    /// As they were before anything was read.
    marks: Marks,
}

impl Resting {
    /// Finds the data set of a namespace, and keeps every service from opening it, and archives and rebuilds of the books
    /// from it.
    ///
    /// A service may have it open already without being seen: one that is just starting, or was frozen for longer than
    /// its leases last. [`Reader::ensure_unchanged`] notices those.
    ///
    /// # Errors
    /// When there is none, it is incomplete or of an earlier version, a shard lacks something, or a service, an archive or
    /// a rebuild is at work on it.
    pub(super) async fn hold(settings: &ServersSettings, namespace: Namespace) -> anyhow::Result<Self> {
        let one = Cluster::with(settings, namespace, std::num::NonZeroU16::MIN)?;
        let mut lock = one.lock().await?;
        let main = &one.main;
        lock.keep_for_days().await.map_err(|error| main.error(&error))?;
        let alone = lock.take_too(one.archive_lock()).await.map_err(|error| main.error(&error))?;
        ensure!(
            alone,
            "{main}: an archive, or a rebuild of the books, is at work on this data set: wait for its end"
        );
        let Some(label) = one.label().await? else { bail!("{main}: it holds no data set") };
        label.ensure_by_hand(main)?;
        label.ensure_complete(main)?;
        ensure!(
            !label.of_before,
            "{main}: an earlier version made its data set: start a service of this one, which brings it up to date, and \
             stop it"
        );
        let processes = processes_at_work(main, &Clock::system(), tokio::time::sleep(RENEWED_WITHIN)).await?;
        ensure!(
            processes == 0,
            "{main}: services are at work on data set {} (processes: {processes}): end the load, POST /admin/drain to one \
             of them, and stop them; one that was killed counts for a minute",
            label.dataset
        );
        let cluster = one.recorded().await?;
        let marks = Marks::read(&cluster).await?;
        for (shard, database) in cluster.numbered() {
            cluster.check_shard(shard, &label.dataset).await?;
            refuse_half_retired(database).await?;
        }
        Ok(Self { cluster, label, settings: settings.clone(), lock, marks })
    }
}

/// Refuses a shard of which an archive was cut short: a table of it is out of every reader's sight.
async fn refuse_half_retired(database: &Database) -> anyhow::Result<()> {
    let mut conn = database.connect().await?;
    let names: Vec<String> = conn.query("SHOW TABLES").await.map_err(|error| database.error(&error))?;
    let retired = names.iter().find(|name| name.starts_with(RETIRED));
    match retired {
        Some(table) => bail!("{database}: an archive was cut short and left {table}: run it again first"),
        None => Ok(()),
    }
}

/// A data set on servers that is read.
///
/// It is for programs without a runtime of their own: its methods block.
#[derive(Debug)]
pub struct Reader {
    cluster: Cluster,
    main: Conn,
    /// By shard, in order.
    shards: Vec<Conn>,
    /// Of a data set that was found, and not of one that is being made.
    resting: Option<Resting>,
    /// Last, so that whatever lives on it goes first.
    runtime: Runtime,
}

impl Reader {
    /// Opens the data set of a namespace that no service is at work on, nor begins to be for as long as it is read.
    ///
    /// # Errors
    /// When there is none, it is incomplete or of an earlier version, a server does not answer, or a service is at work
    /// on it.
    pub fn open(settings: &ServersSettings, namespace: Namespace) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let resting = runtime.block_on(Resting::hold(settings, namespace))?;
        Self::on(runtime, resting.cluster.clone(), Some(resting))
    }

    /// Reads databases that the caller lets no other program change meanwhile.
    ///
    /// # Errors
    /// When a server does not answer.
    pub fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Self::on(runtime, cluster.clone(), None)
    }

    fn on(runtime: Runtime, cluster: Cluster, resting: Option<Resting>) -> anyhow::Result<Self> {
        let (main, shards) = runtime.block_on(async {
            let main = cluster.main.connect_for_days().await?;
            let mut shards = Vec::with_capacity(cluster.shards.len());
            for database in &cluster.shards {
                shards.push(database.connect_for_days().await?);
            }
            anyhow::Ok((main, shards))
        })?;
        Ok(Self { cluster, main, shards, resting, runtime })
    }

    /// The line of the latest version of the layout; none where main has no list of versions.
    ///
    /// # Errors
    /// When main does not answer.
    pub fn latest_layout(&mut self) -> anyhow::Result<Option<String>> {
        let read = self.runtime.block_on(layouts::read(&mut self.main));
        let versions = read.map_err(|error| self.cluster.main.error(&error))?;
        Ok(versions.into_iter().last().map(|version| version.layout))
    }

    /// Main's label, and whatever of the data set is not at rest.
    ///
    /// # Errors
    /// When a server does not answer, or the data set is one that is being made.
    pub fn at_rest(&mut self) -> anyhow::Result<(Label, Vec<Waits>)> {
        let resting = self.resting.as_ref().context("it is being made")?;
        let waits =
            self.runtime.block_on(waits(&resting.cluster, &resting.settings, &resting.label.dataset))?;
        Ok((resting.label.clone(), waits))
    }

    /// The prefix of its databases, and main's address.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} on {}", self.cluster.namespace.as_str(), self.cluster.main.host())
    }

    /// Refuses a data set that was changed since it was found at rest.
    ///
    /// # Errors
    /// When it was, which the message describes; or the lock by which no service opens it is lost.
    pub fn ensure_unchanged(&mut self) -> anyhow::Result<()> {
        self.keep()?;
        let Some(resting) = &self.resting else { return Ok(()) };
        let now = self.runtime.block_on(Marks::read(&resting.cluster))?;
        let changes = resting.marks.changes_until(&now);
        ensure!(
            changes.is_empty(),
            "{}: a service went on with it while it was read ({}): stop that service once it is drained, and start the \
             copy again, with --anew",
            self.place(),
            changes.join("; ")
        );
        Ok(())
    }

    /// Keeps the lock by which no service opens the data set: a server gives up a connection that is silent for long.
    ///
    /// # Errors
    /// When the lock is lost.
    pub fn keep(&mut self) -> anyhow::Result<()> {
        let Some(resting) = &mut self.resting else { return Ok(()) };
        let kept = self.runtime.block_on(resting.lock.keep());
        Ok(kept.map_err(|error| self.cluster.main.error(&error))?)
    }

    /// The number of rows of a table of main's.
    ///
    /// # Errors
    /// When main does not answer.
    pub fn count_carried(&mut self, table: &CarriedTable) -> anyhow::Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM {}", table.name);
        let counted: Option<u64> = self.runtime.block_on(one(&self.cluster.main, &mut self.main, &sql))?;
        Ok(counted.unwrap_or(0))
    }

    /// The next rows of a table of main's behind a key.
    ///
    /// # Errors
    /// When main does not answer, or a value is of another kind than its column.
    pub fn carried(
        &mut self,
        table: &CarriedTable,
        after: i64,
        most: usize,
    ) -> anyhow::Result<Vec<CarriedRow>> {
        let (database, sql) = (&self.cluster.main, table.select(Dialect::MySql));
        let asked = self.main.exec::<Row, _, _>(sql, (after, most));
        let rows = self.runtime.block_on(asked).map_err(|error| database.error(&error))?;
        let read =
            |row: &Row| table.row(|column| values::get(row, column), |column| values::get(row, column));
        let rows: mysql_async::Result<Vec<CarriedRow>> = rows.iter().map(read).collect();
        rows.map_err(|error| database.error(&error)).with_context(|| format!("the rows of {}", table.name))
    }

    /// True if main says that it was put back once.
    ///
    /// # Errors
    /// When main does not answer.
    pub fn was_put_back(&mut self) -> anyhow::Result<bool> {
        let sql = format!("SELECT COUNT(*) FROM meta WHERE name = '{PUT_BACK}'");
        let said: Option<i64> = self.runtime.block_on(one(&self.cluster.main, &mut self.main, &sql))?;
        Ok(said > Some(0))
    }

    /// Every table of results.
    ///
    /// # Errors
    /// When a server does not answer.
    pub fn places(&mut self) -> anyhow::Result<Vec<Placement>> {
        let mut places = Vec::new();
        for ((shard, database), conn) in self.cluster.numbered().zip(&mut self.shards) {
            let names = self.runtime.block_on(conn.query::<String, _>("SHOW TABLES"));
            let names = names.map_err(|error| database.error(&error))?;
            let tables = names.iter().filter_map(|name| TableId::parse(name));
            places.extend(tables.map(|table| Placement::new(shard, table)));
        }
        Ok(places)
    }

    /// The number of rows of a table of results.
    ///
    /// # Errors
    /// When its server does not answer.
    pub fn count(&mut self, at: Placement) -> anyhow::Result<u64> {
        Ok(self.ask(at, &format!("SELECT COUNT(*) FROM {}", at.table))?.unwrap_or(0))
    }

    /// The least id of a table of results, if it has rows.
    ///
    /// # Errors
    /// When its server does not answer.
    pub fn first(&mut self, at: Placement) -> anyhow::Result<Option<i64>> {
        self.ask(at, &format!("SELECT result_id FROM {} ORDER BY result_id LIMIT 1", at.table))
    }

    /// The next rows of a table of results behind an id.
    ///
    /// # Errors
    /// When its server does not answer, or a row makes no sense.
    pub fn results(&mut self, at: Placement, after: i64, most: usize) -> anyhow::Result<Vec<CouponResult>> {
        let (lane, mut after, mut results) = (self.cluster.lane(at.shard), after, Vec::new());
        // Once, but where an engine's shard has rows of other lanes between these.
        loop {
            let page = self.page(at, after, most)?;
            let last = page.last().map(|row| row.result_id.number()).filter(|_| page.len() >= most);
            results.extend(page.into_iter().filter(|row| lane.has(row.user_id)));
            match last {
                Some(last) if results.len() < most => after = last,
                _ => return Ok(results),
            }
        }
    }

    /// The next rows of a table behind an id, of whichever lane.
    fn page(&mut self, at: Placement, after: i64, most: usize) -> anyhow::Result<Vec<CouponResult>> {
        let (lane, sql) = (self.cluster.lane(at.shard), statements::behind(Dialect::MySql, at.table));
        let (runtime, database, conn) = self.shard(at.shard)?;
        let rows = runtime.block_on(async {
            match lane.is_engines() {
                true => {
                    let numbers = [after, i64::try_from(most).unwrap_or(i64::MAX)];
                    conn.query::<Row, _>(lane.named(written(&sql, numbers))).await
                }
                false => conn.exec::<Row, _, _>(sql, (after, most)).await,
            }
        });
        let rows = rows.map_err(|error| database.error(&error))?;
        let results: mysql_async::Result<Vec<CouponResult>> = rows.iter().map(values::result).collect();
        results.map_err(|error| database.error(&error)).with_context(|| at.table.to_string())
    }

    fn ask<T: FromValue + Send + 'static>(&mut self, at: Placement, sql: &str) -> anyhow::Result<Option<T>> {
        let (runtime, database, conn) = self.shard(at.shard)?;
        runtime.block_on(one(database, conn, sql))
    }

    fn shard(&mut self, shard: ShardId) -> anyhow::Result<(&Runtime, &Database, &mut Conn)> {
        let database = self.cluster.shards.get(shard.index());
        let (database, conn) = database
            .zip(self.shards.get_mut(shard.index()))
            .with_context(|| format!("there is no shard {shard}"))?;
        Ok((&self.runtime, database, conn))
    }
}

/// The one value that a query answers, if it answers any.
async fn one<T: FromValue + Send + 'static>(
    database: &Database,
    conn: &mut Conn,
    sql: &str,
) -> anyhow::Result<Option<T>> {
    let row: Option<Row> = conn.query_first(sql).await.map_err(|error| database.error(&error))?;
    let value = row.as_ref().map(|row| values::get(row, 0)).transpose();
    Ok(value.map_err(|error| database.error(&error))?)
}
