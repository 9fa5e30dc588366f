//! The databases of one strategy: one main, and one a shard, on whatever servers. They belong together by a data set
//! id.
//!
//! A data set counts as one only when main says that it is complete: a cut-short seeding is never mistaken for data.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU16;

use anyhow::{Context as _, bail, ensure};
use coupon_core::schema::{self, Dialect, Migration};
use coupon_core::{ShardId, ShardingStrategy, Timestamp};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};
use refinery::Runner;

use super::columns;
use super::format::{FORMAT, FORMATS_BEFORE};
use super::mysql::{BOOKS_LOCK, Database, DatabaseError, LAYOUT, SILENT_DAYS_S, code, has_code, read_moves};
use super::names::{Names, Namespace};
use super::places::{self, Places};
use super::{layouts, mains_time, rooms, upgrade};
use crate::VersionRecord;
use crate::carried::COPYING;
use crate::clock::Clock;
use crate::room_index::{self, RoomPlaces};
use crate::settings::ServersSettings;

/// The longest wait for another process that is making or changing the same databases, in seconds.
const SETUP_WAIT_S: u32 = 120;
/// The table in which each database notes which changes it has seen.
const HISTORY: &str = "schema_history";

/// The databases of a data set, whether or not it is there yet.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The prefix of every name.
    pub namespace: Namespace,
    /// The main database.
    pub main: Database,
    /// Each shard's database, in order.
    pub shards: Vec<Database>,
    /// The servers that shards are on, and will be.
    places: Places,
}

/// Main's label of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its id, which main and every shard share.
    pub dataset: String,
    /// The layout of its strategy at first.
    pub layout: String,
    /// Its number of shards, whether or not the layout uses all of them.
    pub shards: u16,
    /// True if it was filled to the end.
    pub complete: bool,
    /// True if an earlier version made it, and no service has brought it up to date.
    pub of_before: bool,
    /// The data set that it is to become a copy of, while it is not.
    pub copy_of: Option<String>,
    /// Its room index, if it has one.
    pub rooms: Option<RoomPlaces>,
}

/// A data set that was opened, and the shards that are down for now.
#[derive(Debug)]
pub struct Opened {
    /// Main's label of it.
    pub label: Label,
    /// Its databases: those of more shards, perhaps, than were asked for.
    pub cluster: Cluster,
    /// The versions of its layout, from the first on.
    pub versions: Vec<VersionRecord>,
    /// Shards that could not be asked.
    pub down: Vec<(ShardId, DatabaseError)>,
}

/// A data set being made: no other process can make or open one meanwhile.
#[derive(Debug)]
pub struct Making {
    /// The new data set's id.
    pub dataset: String,
    pub(super) lock: SetupLock,
}

impl Cluster {
    /// The databases that settings and strategy name.
    ///
    /// # Errors
    /// When a setting is missing or cannot be used; the error names it.
    pub fn new(settings: &ServersSettings, strategy: &dyn ShardingStrategy) -> anyhow::Result<Self> {
        let namespace = Namespace::new(&settings.namespace, strategy.name())?;
        Self::with(settings, namespace, strategy.shard_count())
    }

    /// The databases of a namespace, with so many shards.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with(
        settings: &ServersSettings,
        namespace: Namespace,
        shards: NonZeroU16,
    ) -> anyhow::Result<Self> {
        let pool = settings.pool.get();
        let main = Database::new("servers.main", &settings.main, &namespace.main_database(), pool)?;
        let places = Places::new(settings, &namespace)?;
        let shards = places.databases(shards)?;
        Ok(Self { namespace, main, shards, places })
    }

    /// The databases of the data set that main holds, each shard where main has recorded it, and those of further shards
    /// that are asked for.
    ///
    /// # Errors
    /// When main cannot be asked, or a server is not named any more that a shard is on.
    pub async fn recorded(&self) -> anyhow::Result<Self> {
        let shards = self.label().await?.map_or(0, |label| label.shards);
        self.of_so_many(shards).await
    }

    async fn of_so_many(&self, shards: u16) -> anyhow::Result<Self> {
        let places = self.places.recorded(&self.main).await?;
        let asked_for = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        let database = |number| match self.shards.get(usize::from(number)) {
            Some(known) if places.server(number) == self.places.server(number) => Ok(known.clone()),
            _ => places.database(ShardId::new(number)),
        };
        let shards = (0..shards.max(asked_for)).map(database).collect::<anyhow::Result<_>>()?;
        Ok(Self { places, shards, ..self.clone() })
    }

    /// Its shards, by number.
    pub fn numbered(&self) -> impl Iterator<Item = (ShardId, &Database)> {
        (0..).map(ShardId::new).zip(&self.shards)
    }

    /// The names of a data set's keys and queues.
    #[must_use]
    pub fn names(&self, dataset: &str) -> Names {
        self.namespace.dataset(dataset)
    }

    /// Reads main's label of its data set; `None` when it holds none.
    ///
    /// # Errors
    /// When main cannot be asked.
    pub async fn label(&self) -> Result<Option<Label>, DatabaseError> {
        let meta = read_meta(&self.main, "meta").await?;
        let text = |name: &str| meta.get(name).cloned();
        let Some(dataset) = text("dataset") else { return Ok(None) };
        let shards = text("shards").and_then(|shards| shards.parse().ok()).unwrap_or(0);
        let (complete, of_before) = match text("format").as_deref() {
            Some(FORMAT) => (true, false),
            Some(before) if FORMATS_BEFORE.contains(&before) => (true, true),
            None => (false, false),
            Some(other) => {
                let why = format!("its data has format {other}; this program knows {FORMAT}");
                return Err(self.main.failed(why, false));
            }
        };
        let copy_of = text(COPYING).filter(|_| !complete);
        let layout = text("layout").unwrap_or_default();
        let rooms = text(room_index::META).map(|value| RoomPlaces::read(&value)).transpose();
        let rooms = rooms.map_err(|error| self.main.failed(error.to_string(), false))?;
        Ok(Some(Label { dataset, layout, shards, complete, of_before, copy_of, rooms }))
    }

    /// Opens the data set for a strategy, bringing its tables up to date. Where there is none, makes one that holds the
    /// small sample catalogue, with a room index if there is to be one.
    ///
    /// # Errors
    /// When it is incomplete, laid out otherwise, has a room index or none against what is said, or a database cannot be used, for any reason but that a shard is
    /// down.
    pub async fn open(&self, layout: &str, room_index: bool) -> anyhow::Result<Opened> {
        let _lock = self.lock().await?;
        let Some(label) = self.label().await? else { return self.make_sample(layout, room_index).await };
        room_index::agreed(room_index, label.rooms).with_context(|| self.main.to_string())?;
        self.of_so_many(label.shards).await?.open_as_recorded(label, layout).await
    }

    async fn open_as_recorded(&self, label: Label, layout: &str) -> anyhow::Result<Opened> {
        let main = &self.main;
        label.ensure_complete(main)?;
        let versions = self.versions(&label).await?;
        let (first, latest) = (versions.first(), versions.last());
        ensure!(
            [first, latest].into_iter().flatten().any(|version| version.layout == layout),
            "{main}: its data is laid out as \"{}\", and this service's strategy is \"{layout}\": change the strategy's \
             settings, choose another `servers.namespace`, or seed it anew with --reset",
            latest.map_or(&*label.layout, |version| &*version.layout)
        );
        if label.of_before {
            upgrade::refuse_processes_of_before(main, &label).await?;
            upgrade::refuse_without_a_shard(self, &label).await?;
        }
        self.update_main_tables().await?;
        main.check_durability().await?;
        let (mut down, mut known) = (Vec::new(), Vec::new());
        for (shard, database) in self.numbered().take(usize::from(label.shards)) {
            match self.check_shard(shard, &label.dataset).await {
                Ok(()) => {
                    self.update_shard_tables(database).await?;
                    database.check_durability().await?;
                    let told = read_meta(database, "shard_meta").await?.get(LAYOUT).cloned();
                    known.push((database, read_moves(database).await?, told));
                }
                Err(error) if error.down => down.push((shard, error)),
                Err(error) => return Err(error.into()),
            }
        }
        let label = if label.of_before { upgrade::finish(self, label, &down).await? } else { label };
        // Main has a version before any shard has to do with it.
        let versions = self.versions(&label).await?;
        for (database, moves, told) in known {
            let told = told.and_then(|told| told.parse().ok()).unwrap_or(0);
            layouts::ensure_known(moves, &versions)
                .and_then(|()| layouts::ensure_told(told, &versions))
                .with_context(|| format!("cannot use {database}"))?;
        }
        let label = self.prepare_further(label).await?;
        // With none of them there is nothing to serve.
        if down.len() == self.shards.len()
            && let Some((_, error)) = down.pop()
        {
            return Err(error.into());
        }
        Ok(Opened { label, cluster: self.clone(), versions, down })
    }

    /// The versions of the layout, from the first on.
    async fn versions(&self, label: &Label) -> Result<Vec<VersionRecord>, DatabaseError> {
        let mut conn = self.main.connect().await?;
        let read = match layouts::read(&mut conn).await {
            // A data set of long before has no list of them.
            Err(error) if label.of_before && has_code(&error, code::NO_TABLE) => Vec::new(),
            read => read.map_err(|error| self.main.error(&error))?,
        };
        if read.is_empty() && label.of_before {
            return Ok(vec![layouts::first(&label.layout, Timestamp::from_millis(0))]);
        }
        Ok(read)
    }

    /// Makes the shards that are asked for beyond those that there are: a layout may use them later.
    async fn prepare_further(&self, label: Label) -> anyhow::Result<Label> {
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        if shards <= label.shards {
            return Ok(label);
        }
        for (shard, database) in self.numbered().skip(usize::from(label.shards)) {
            self.make_shard(shard, database, &label.dataset).await?;
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

    /// Makes an empty data set, which stays incomplete until [`Self::complete`].
    ///
    /// # Errors
    /// When there is data already, or a database cannot be made.
    pub async fn create(&self, layout: &str) -> anyhow::Result<Making> {
        let lock = self.lock().await?;
        if let Some(label) = self.label().await? {
            bail!("{}: it holds data set {} already: add --reset to replace it", self.main, label.dataset);
        }
        let dataset = self.make_tables().await?;
        self.write_label(&dataset, layout, None, &[]).await?;
        Ok(Making { dataset, lock })
    }

    /// Marks the data set complete: only now is it one.
    ///
    /// Over a new connection: what was made since may have taken longer than a server keeps those of a pool.
    ///
    /// # Errors
    /// When main cannot be written.
    pub async fn complete(&self) -> anyhow::Result<()> {
        self.complete_with(&[]).await
    }

    /// Says that the data set is not one any more: it is about to be removed.
    pub(super) async fn mark_incomplete(&self) -> Result<(), DatabaseError> {
        let mut conn = self.main.connect().await?;
        conn.query_drop("DELETE FROM meta WHERE name = 'format'")
            .await
            .map_err(|error| self.main.error(&error))
    }

    /// Removes every database of the namespace, shards first; the caller has the lock. Whatever cuts it short, main
    /// still says what there was.
    pub(super) async fn remove_databases(&self) -> anyhow::Result<()> {
        let shards = self.label().await.ok().flatten().map_or(0, |label| label.shards);
        for (_, database) in self.numbered() {
            database.remove().await?;
        }
        ensure!(
            usize::from(shards) <= self.shards.len(),
            "{}: its data set has {shards} shards, and only {} were given: --shards",
            self.main,
            self.shards.len()
        );
        self.main.remove().await?;
        Ok(())
    }

    async fn make_sample(&self, layout: &str, room_index: bool) -> anyhow::Result<Opened> {
        let dataset = self.make_tables().await?;
        if room_index {
            rooms::build_in(self, &mut |_, _| ()).await?;
        }
        self.write_label(&dataset, layout, None, &schema::sample(Dialect::MySql)).await?;
        tracing::info!(
            dataset,
            main = self.main.host(),
            "there was no data: it is now a small sample catalogue; the seeder makes a large one"
        );
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        let label = Label {
            dataset,
            layout: layout.to_owned(),
            shards,
            complete: true,
            of_before: false,
            copy_of: None,
            rooms: self.label().await?.and_then(|label| label.rooms),
        };
        let versions = self.versions(&label).await?;
        Ok(Opened { label, cluster: self.clone(), versions, down: Vec::new() })
    }

    /// Makes every database and table of a new data set, and writes into each shard which data set it belongs to.
    pub(super) async fn make_tables(&self) -> anyhow::Result<String> {
        let dataset = new_dataset();
        self.main.create().await?;
        self.update_main_tables().await?;
        for (shard, database) in self.numbered() {
            self.make_shard(shard, database, &dataset).await?;
        }
        Ok(dataset)
    }

    /// Makes a shard's database and tables, and writes into it which data set it belongs to.
    async fn make_shard(&self, shard: ShardId, database: &Database, dataset: &str) -> anyhow::Result<()> {
        database.create().await?;
        self.update_shard_tables(database).await?;
        claim_shard(database, shard, dataset).await
    }

    /// Writes what main says of a new data set, all or nothing. With a catalogue it is complete.
    pub(super) async fn write_label(
        &self,
        dataset: &str,
        layout: &str,
        copy_of: Option<&str>,
        catalogue: &[String],
    ) -> anyhow::Result<()> {
        let write = async || {
            let mut conn = self.main.connect().await?;
            let failed = |error| self.main.error(&error);
            let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
            let shards = self.shards.len().to_string();
            let mut rows = vec![("dataset", dataset), ("layout", layout), ("shards", &shards)];
            rows.extend(copy_of.map(|source| (COPYING, source)));
            if !catalogue.is_empty() {
                rows.push(("format", FORMAT));
            }
            for row in rows {
                transaction
                    .exec_drop("REPLACE INTO meta (name, value) VALUES (?, ?)", row)
                    .await
                    .map_err(failed)?;
            }
            let gate = format!("INSERT INTO gate_state (id, epoch, open_epoch) VALUES ({FORMAT}, 0, 0)");
            transaction.query_drop("DELETE FROM gate_state").await.map_err(failed)?;
            transaction.query_drop(gate).await.map_err(failed)?;
            self.record_first(&mut transaction, layout).await.map_err(failed)?;
            for statement in catalogue {
                transaction.query_drop(statement).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        };
        write().await.context("cannot write what main says of the new data set")
    }

    /// Records the first version of the layout, unless versions are recorded already, and the places of the shards.
    pub(super) async fn record_first(
        &self,
        conn: &mut impl Queryable,
        layout: &str,
    ) -> mysql_async::Result<()> {
        let now: Option<i64> =
            conn.query_first(format!("SELECT {}", mains_time::expression(&Clock::system()))).await?;
        let first = layouts::first(layout, Timestamp::from_millis(now.unwrap_or(0)));
        if layouts::read(conn).await?.is_empty() {
            layouts::write(conn, &first).await?;
        }
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        places::record(conn, &self.places, shards).await
    }

    /// Makes sure that a shard belongs to the data set, and has everything that main has applied.
    ///
    /// # Errors
    /// When it does not, has not, or cannot be asked.
    pub async fn check_shard(&self, shard: ShardId, dataset: &str) -> Result<(), DatabaseError> {
        let Some(database) = self.shards.get(shard.index()) else { return Ok(()) };
        check_shard(database, shard, dataset, outbox_position(&self.main, shard).await?).await
    }

    /// Brings main's tables up to date, for work that opens no more of the data set.
    ///
    /// # Errors
    /// When main cannot be changed.
    pub async fn update_main(&self) -> anyhow::Result<()> {
        let _lock = self.lock().await?;
        self.update_main_tables().await
    }

    /// Makes main's tables, and adds the columns that later versions have.
    async fn update_main_tables(&self) -> anyhow::Result<()> {
        let main = &self.main;
        self.migrate(main, &schema::main_migrations()).await?;
        let mut conn = main.connect().await?;
        Ok(columns::add(&mut conn, &[schema::main_columns(), schema::servers_columns()].concat())
            .await
            .map_err(|error| main.error(&error))?)
    }

    /// Makes a shard's tables but for those of results, which are brought up to date.
    async fn update_shard_tables(&self, database: &Database) -> anyhow::Result<()> {
        self.migrate(database, &schema::shard_migrations()).await?;
        let mut conn = database.connect_alone().await?;
        let update = async {
            columns::add(&mut conn, &schema::shard_columns()).await?;
            columns::update_results(&mut conn).await
        };
        Ok(update.await.map_err(|error| database.error(&error))?)
    }

    async fn migrate(&self, database: &Database, migrations: &[Migration]) -> anyhow::Result<()> {
        let migrations = migrations
            .iter()
            .map(|migration| refinery::Migration::unapplied(migration.name, &migration.sql))
            .collect::<Result<Vec<_>, _>>()?;
        let mut runner = Runner::new(&migrations);
        runner.set_migration_table_name(HISTORY);
        // Connecting first gives an error that names the setting.
        drop(database.connect().await?);
        let mut pool = database.pool();
        runner
            .run_async(&mut pool)
            .await
            .with_context(|| format!("{database}: cannot bring its tables up to date"))?;
        Ok(())
    }

    pub(super) async fn lock(&self) -> Result<SetupLock, DatabaseError> {
        let mut conn = self.main.connect_server().await?;
        let name = format!("{}.setup", self.namespace.as_str());
        let locked: Option<Option<i64>> = conn
            .exec_first("SELECT GET_LOCK(?, ?)", (name, SETUP_WAIT_S))
            .await
            .map_err(|error| self.main.error(&error))?;
        if locked.flatten() == Some(1) {
            return Ok(SetupLock { conn });
        }
        let why = format!("another process has been making or filling it for more than {SETUP_WAIT_S} s");
        Err(self.main.failed(why, false))
    }

    /// The name of the lock by which one archive, rebuild of the books or copy at a time has a data set in hand.
    #[must_use]
    pub fn archive_lock(&self) -> String {
        format!("{}.{BOOKS_LOCK}", self.namespace.as_str())
    }
}

/// The lock lasts as long as the connection.
#[derive(Debug)]
pub(super) struct SetupLock {
    conn: Conn,
}

impl SetupLock {
    /// Keeps it for a caller that says nothing for hours: until then a server gives up a connection that is silent for
    /// one.
    pub(super) async fn keep_for_days(&mut self) -> mysql_async::Result<()> {
        self.conn.query_drop(format!("SET SESSION wait_timeout = {SILENT_DAYS_S}")).await
    }

    /// Takes a lock of another name as well, which lasts as long. False if somebody has it.
    pub(super) async fn take_too(&mut self, name: String) -> mysql_async::Result<bool> {
        let taken: Option<Option<i64>> = self.conn.exec_first("SELECT GET_LOCK(?, 0)", (name,)).await?;
        Ok(taken.flatten() == Some(1))
    }

    /// Keeps it, if it is not lost.
    pub(super) async fn keep(&mut self) -> mysql_async::Result<()> {
        self.conn.ping().await
    }
}

/// Makes sure that a database is a shard of the data set, and has everything that main was told of up to an entry of its
/// outbox.
pub(super) async fn check_shard(
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
    match has {
        Some(has) if has >= told => Ok(()),
        has => {
            let has = has.unwrap_or(0);
            let why = format!("it has lost data: main was told of its change {told}, and it knows {has}");
            Err(database.failed(why, false))
        }
    }
}

/// The last entry of a shard's outbox that main has applied.
pub(super) async fn outbox_position(main: &Database, shard: ShardId) -> Result<i64, DatabaseError> {
    let mut conn = main.connect().await?;
    let position: Option<i64> = conn
        .exec_first("SELECT outbox_id FROM outbox_positions WHERE shard = ?", (shard.number(),))
        .await
        .map_err(|error| main.error(&error))?;
    Ok(position.unwrap_or(0))
}

/// The names and values that a database holds of its data set; none without the database or the table.
async fn read_meta(
    database: &Database,
    table: &'static str,
) -> Result<HashMap<String, String>, DatabaseError> {
    // First without choosing a database, so that "there is none" differs from "the server is away".
    let mut conn = database.connect_server().await?;
    let rows: Result<Vec<(String, String)>, _> =
        conn.query(format!("SELECT name, value FROM {}.{table}", database.name())).await;
    match rows {
        Ok(rows) => Ok(rows.into_iter().collect()),
        Err(error) if has_code(&error, code::NO_TABLE) || has_code(&error, code::NO_DATABASE) => {
            Ok(HashMap::new())
        }
        Err(error) => Err(database.error(&error)),
    }
}

/// Tells a shard which data set it belongs to, unless it holds results of another: those are not for us to lose.
async fn claim_shard(database: &Database, shard: ShardId, dataset: &str) -> anyhow::Result<()> {
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
                 messages, received, commits) VALUES ({FORMAT}, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
            ),
            (dataset,),
        )
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(())
}

fn new_dataset() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

/// The number of shards in a label.
impl Label {
    /// Its shards, which are at least one.
    #[must_use]
    pub fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(self.shards).unwrap_or(NonZeroU16::MIN)
    }

    /// Refuses a data set that was not filled to the end.
    ///
    /// # Errors
    /// When it was not; the message says what can be done.
    pub fn ensure_complete(&self, main: &Database) -> anyhow::Result<()> {
        if let Some(source) = &self.copy_of {
            bail!(
                "{main}: a copy of data set {source} into it is under way, or was cut short: run the same `seeder copy` \
                 again, which goes on with it"
            );
        }
        ensure!(
            self.complete,
            "{main}: data set {} is incomplete, since filling it was cut short: seed it again, with --reset",
            self.dataset
        );
        Ok(())
    }
}
