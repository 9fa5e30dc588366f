//! The databases of one strategy: one main, and one a shard, on whatever servers. They belong together by a data set
//! id.
//!
//! A data set counts as one only when main says that it is complete: a cut-short seeding is never mistaken for data.

mod has_shards;
mod label;
mod lock;
mod shard;
mod tables;
mod versions;

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use coupon_core::schema::{self, Dialect};
use coupon_core::{ShardId, ShardingStrategy, Whole};
use coupon_store::VersionRecord;
use coupon_store::room_index;
use coupon_store::settings::ServersSettings;
use mysql_async::prelude::Queryable as _;

pub(super) use self::has_shards::HasShards;
pub use self::label::Label;
pub(super) use self::lock::SetupLock;
pub(super) use self::shard::{check_shard, outbox_position};
use self::versions::Noted;
use super::gates::GateList;
use super::mysql::{Database, DatabaseError};
use super::names::{Names, Namespace};
use super::places::Places;
use super::{engine, rooms, upgrade};

/// The databases of a data set, whether or not it is there yet.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The prefix of every name.
    pub namespace: Namespace,
    /// The main database.
    pub main: Database,
    /// Each shard's database, in order.
    pub shards: Vec<Database>,
    /// The gates, as the setting names them.
    pub(super) gates: GateList,
    /// The servers that shards are on, and will be.
    pub(super) places: Places,
    /// The engine that has the shards, if they are not run by hand: each database is the address of a lane then.
    pub(super) engine: Option<Arc<dyn HasShards>>,
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
    /// Main's number of the list of gates.
    pub(super) gate_list: u64,
    /// Shards that could not be asked.
    pub down: Vec<(ShardId, DatabaseError)>,
}

/// A data set being made: no other process can make or open one meanwhile.
#[derive(Debug)]
pub struct UnfinishedDataSet {
    /// The new data set's id.
    pub dataset: String,
    pub(super) lock: SetupLock,
}

/// Refuses a data set that another strategy has laid out, or this one with other settings.
pub(super) fn ensure_laid_out(
    main: &Database,
    label: &Label,
    versions: &[VersionRecord],
    layout: &str,
) -> anyhow::Result<()> {
    let (first, latest) = (versions.first(), versions.last());
    ensure!(
        [first, latest].into_iter().flatten().any(|version| version.layout == layout),
        "{main}: its data is laid out as \"{}\", and this service's strategy is \"{layout}\": start the program of that \
         strategy (hash-svc for a hash, range-svc for ranges) with its settings, choose another `servers.namespace` or, if \
         nobody needs what is there, seed it anew with --reset",
        latest.map_or(&*label.layout, |version| &*version.layout)
    );
    Ok(())
}

/// Refuses a strategy whose shards an engine has: there are no databases of them here.
pub(super) fn ensure_by_hand(strategy: &dyn ShardingStrategy) -> anyhow::Result<()> {
    ensure!(
        !strategy.whole().is_planned(),
        "the shards of the strategy {} are an engine's, and none that are run by hand",
        strategy.name()
    );
    Ok(())
}

impl Cluster {
    /// The databases that settings and strategy name.
    ///
    /// # Errors
    /// When a setting is missing or cannot be used; the error names it.
    pub fn new(settings: &ServersSettings, strategy: &dyn ShardingStrategy) -> anyhow::Result<Self> {
        let namespace = Namespace::new(&settings.namespace, strategy.name())?;
        match strategy.whole() {
            Whole::Shards(shards) => Self::with(settings, namespace, shards),
            Whole::Planned(lanes) => engine::cluster(settings, namespace, lanes),
        }
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
        Ok(Self { namespace, main, shards, gates: GateList::of(settings)?, places, engine: None })
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
        if self.engine.is_some() {
            return Ok(self.clone());
        }
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

    /// Opens the data set for a strategy, bringing its tables up to date. Where there is none, makes one that holds the
    /// small sample catalogue, with a room index if there is to be one.
    ///
    /// # Errors
    /// When it is incomplete, laid out otherwise, has a room index or none against what is said, or a database cannot be used,
    /// for any reason but that a shard is down.
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
        ensure_laid_out(main, &label, &versions, layout)?;
        if label.of_before {
            upgrade::refuse_processes_of_before(main, &label).await?;
            upgrade::refuse_without_a_shard(self, &label).await?;
        }
        self.update_main_tables().await?;
        main.check_durability().await?;
        let (mut down, mut noted) = (Vec::new(), Vec::new());
        for (shard, database) in self.numbered().take(usize::from(label.shards)) {
            match self.check_shard(shard, &label.dataset).await {
                Ok(()) => {
                    self.update_shard_tables(database, label.of_before).await?;
                    database.check_durability().await?;
                    noted.push((shard, database, Noted::read(database).await?));
                }
                Err(error) if error.down => down.push((shard, error)),
                Err(error) => return Err(error.into()),
            }
        }
        let label = if label.of_before { upgrade::finish(self, label, &down).await? } else { label };
        let versions = self.versions(&label).await?;
        noted.iter().try_for_each(|(_, database, noted)| noted.ensure_known(database, &versions))?;
        let gate_list = self.agree_on_gates(label.shards).await?;
        for (shard, ..) in &noted {
            self.ensure_gates_at(*shard, gate_list).await?;
        }
        let label = self.prepare_further(label, gate_list).await?;
        // With none of them there is nothing to serve.
        if down.len() == self.shards.len()
            && let Some((_, error)) = down.pop()
        {
            return Err(error.into());
        }
        Ok(Opened { label, cluster: self.clone(), versions, gate_list, down })
    }

    /// Makes an empty data set, which stays incomplete until [`Self::complete`].
    ///
    /// # Errors
    /// When there is data already, or a database cannot be made.
    pub async fn create(&self, layout: &str) -> anyhow::Result<UnfinishedDataSet> {
        let lock = self.lock().await?;
        if let Some(label) = self.label().await? {
            bail!("{}: it holds data set {} already: add --reset to replace it", self.main, label.dataset);
        }
        let dataset = self.make_tables().await?;
        self.write_label(&dataset, layout, None, &[]).await?;
        Ok(UnfinishedDataSet { dataset, lock })
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
        let label = self.label().await.ok().flatten();
        match &self.engine {
            Some(engine) => engine.remove(label.as_ref().map(|label| &*label.dataset)).await?,
            None => {
                for (_, database) in self.numbered() {
                    database.remove().await?;
                }
            }
        }
        let shards = label.map_or(0, |label| label.shards);
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
            keyspace: None,
        };
        let versions = self.versions(&label).await?;
        Ok(Opened { label, cluster: self.clone(), versions, gate_list: 0, down: Vec::new() })
    }
}
