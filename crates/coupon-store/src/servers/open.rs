//! Opens the servers as a backend: checks what they are, starts the tasks, waits for the gate.

use std::num::NonZeroU16;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use coupon_core::{ShardId, ShardingStrategy, Versioned};

use super::broker::{Broker, BrokerQueues};
use super::catalogue::{OfferedCatalogue, ServersCatalogue};
use super::cluster::{Cluster, Opened, ensure_by_hand};
use super::gate::{GateLink, RedisServer};
use super::layouts::versioned;
use super::lifecycle::Running;
use super::mysql::{MainDatabase, ShardDatabase};
use super::names::Namespace;
use super::own_metrics::ServersMetrics;
use super::per_thread::PerThread;
use super::process::{Process, ProcessPart};
use super::rooms::{RoomDatabases, ServersRooms};
use super::seam::{ConnectGate, GateServer, QueueServer, Servers, ShardServer};
use super::shards::ServersShards;
use super::stock::{self, LocalQueues, StockGate};
use super::tasks::{Background, RELIES};
use crate::clock::Clock;
use crate::hand_over::StoredAtGrant;
use crate::ids::IdSource;
use crate::settings::{DecidedBy, Role, ServersSettings, UnknownUsers};
use crate::stock::{SHARD, ensure_one_table};
use crate::{Backend, Data, Gate, Growing, HandOver, Layouts, RoomIndex, VersionRecord};

/// The longest that a start waits for a gate that has to be filled first: until then no request is answered at all.
const GATE: Duration = Duration::from_secs(5);

/// Each worker leases its own number, of which there are a thousand for all processes.
const WORKERS_MAX: usize = 100;

/// The options for opening the servers.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers' addresses and settings.
    pub servers: ServersSettings,
    /// HTTP workers, each of which makes its own ids.
    pub workers: usize,
    /// The most results that wait for one shard's tables.
    pub shard_backlog: usize,
    /// Shards that are to be open at least, whether or not the layout uses them.
    pub shards_prepared: NonZeroU16,
    /// What becomes of users whom main does not know.
    pub unknown_users: UnknownUsers,
    /// True if the data set has a room index, or is to be made with one.
    pub room_index: bool,
}

/// Opens the servers for a strategy. Where there is no data set yet, makes one that holds the sample catalogue.
///
/// # Errors
/// When a server cannot be used, for any reason but that a shard is down; the message names the setting and the server.
pub fn open(
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    open_decided_by(DecidedBy::Gate, options, strategy, clock)
}

/// The same, with grabs decided by the gate or by the one shard's database.
///
/// # Errors
/// As for [`open`], and when the database is to decide and the results are not all in one table.
pub fn open_decided_by(
    decided_by: DecidedBy,
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    let (options, clock) = (options.clone(), clock.clone());
    let (tell, told) = mpsc::channel();
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let failed = tell.clone();
        runtime.block_on(async {
            match Parts::assemble(decided_by, &options, strategy, &clock).await {
                Ok((parts, process)) => {
                    let _ = tell.send(Ok(parts));
                    process.run().await;
                }
                Err(error) => drop(failed.send(Err(error))),
            }
        });
        anyhow::Ok(())
    };
    let thread = thread::Builder::new().name("servers".to_owned()).spawn(move || {
        if let Err(error) = body() {
            tracing::error!(%error, "the servers' backend has no runtime");
        }
    })?;
    let parts: Parts = told.recv().context("the servers' backend did not start")??;
    Ok(parts.into_backend(thread))
}

/// The parts that the HTTP workers use.
struct Parts {
    role: Role,
    namespace: String,
    ids: IdSource,
    gate: Box<dyn Gate>,
    growth: Box<dyn Growing>,
    hand_over: Box<dyn HandOver>,
    shards: ServersShards,
    rooms: Option<ServersRooms>,
    catalogue: ServersCatalogue,
    background: Arc<Background>,
    runtime: tokio::runtime::Handle,
}

impl Parts {
    async fn assemble(
        decided_by: DecidedBy,
        options: &Options,
        strategy: Arc<dyn ShardingStrategy>,
        clock: &Clock,
    ) -> anyhow::Result<(Self, Process)> {
        let settings = &options.servers;
        ensure!(
            options.workers <= WORKERS_MAX,
            "setting `workers` must be at most {WORKERS_MAX} on servers, not {}: start more processes instead",
            options.workers
        );
        ensure!(
            decided_by == DecidedBy::Gate || settings.role == Role::All,
            "setting `servers.role` must be all where `grab.decided_by` is database: there is no queue between processes"
        );
        let prepared = strategy.shard_count().max(options.shards_prepared);
        let (cluster, servers, versions) = connect_all(
            decided_by,
            settings,
            &*strategy,
            prepared,
            (options.unknown_users, options.room_index),
            clock,
        )
        .await?;
        let layouts = {
            let shards = u16::try_from(cluster.shards.len()).ok().and_then(NonZeroU16::new);
            let versions = versioned(&Versioned::first(strategy), &versions)?;
            Layouts::new(versions, shards.unwrap_or(prepared))
        };
        let part = ProcessPart::of(settings, options.workers, options.shard_backlog);
        let layouts = Arc::new(layouts.good_for(RELIES.min(part.layout_lead / 2)));
        let process = Process::start(servers, part, layouts, clock).await?;
        if tokio::time::timeout(GATE, process.wait_for_the_gate()).await.is_err() {
            tracing::warn!("the gate is shut: grabs are answered with 503 until it has been filled");
        }
        let background = Arc::clone(&process.background);
        let runtime = tokio::runtime::Handle::current();
        let catalogue = ServersCatalogue::new(&background, runtime.clone(), &cluster.main);
        let rooms = background.rooms.as_ref().map(|rooms| ServersRooms {
            places: rooms.places,
            databases: cluster.shards.clone(),
            pools: PerThread::default(),
            status: background.status.clone(),
        });
        let parts = Self {
            role: settings.role,
            namespace: cluster.namespace.as_str().to_owned(),
            ids: process.ids(),
            gate: process.gate(),
            growth: process.growth(),
            hand_over: match decided_by {
                DecidedBy::Gate => process.hand_over(),
                DecidedBy::Database => Box::new(StoredAtGrant(process.hand_over())),
            },
            shards: ServersShards {
                databases: cluster.shards,
                pools: PerThread::default(),
                status: background.status.clone(),
                background: Arc::clone(&background),
                gates: PerThread::default(),
                gate_patience: part.gate_patience,
            },
            rooms,
            catalogue,
            background,
            runtime,
        };
        Ok((parts, process))
    }

    fn into_backend(self, thread: thread::JoinHandle<()>) -> Backend {
        let Self { role, namespace, ids, gate, growth, hand_over, .. } = self;
        let Self { shards, rooms, catalogue, background, runtime, .. } = self;
        Backend {
            dataset: background.dataset.clone(),
            layouts: Arc::clone(&background.layouts),
            growth,
            archiving: None,
            ids,
            gate,
            lifecycle: Box::new(Running::new(Arc::clone(&background), runtime, thread)),
            hand_over,
            shards: Box::new(shards),
            room_index: rooms.map(|rooms| Box::new(rooms) as Box<dyn RoomIndex>),
            catalogue: Box::new(catalogue),
            own_metrics: Box::new(ServersMetrics { background, role }),
            data: Data::Servers(namespace),
        }
    }
}

/// Connects to the servers that settings name. Where there is no data set yet, makes one that holds the sample catalogue.
///
/// Grabs are decided by the gate or by the one shard's database.
///
/// # Errors
/// As for [`open_decided_by`].
pub async fn connect_decided_by(
    decided_by: DecidedBy,
    settings: &ServersSettings,
    strategy: &dyn ShardingStrategy,
    clock: &Clock,
) -> anyhow::Result<Servers> {
    let (shards, others) = (strategy.shard_count(), (UnknownUsers::Refuse, false));
    Ok(connect_all(decided_by, settings, strategy, shards, others, clock).await?.1)
}

async fn connect_all(
    decided_by: DecidedBy,
    settings: &ServersSettings,
    strategy: &dyn ShardingStrategy,
    shards: NonZeroU16,
    (unknown_users, room_index): (UnknownUsers, bool),
    clock: &Clock,
) -> anyhow::Result<(Cluster, Servers, Vec<VersionRecord>)> {
    ensure_by_hand(strategy)?;
    let cluster = Cluster::with(settings, Namespace::new(&settings.namespace, strategy.name())?, shards)?;
    let keeps_stock = decided_by == DecidedBy::Database;
    if keeps_stock {
        ensure_one_table(strategy, shards.get())?;
    }
    let around = reach(decided_by, settings).await?;
    // Before anything of it is changed.
    let main_agrees = stock::ensure_main_agrees(&cluster.main, decided_by).await?;
    let Opened { label, cluster, versions, down } = cluster.open(&strategy.layout(), room_index).await?;
    for (shard, error) in &down {
        tracing::warn!(%shard, %error, "a shard is down; the others are served");
    }
    let dataset = label.dataset;
    let up = |shard: ShardId| !down.iter().any(|(down, _)| *down == shard);
    if let Some(database) = cluster.shards.first().filter(|_| !main_agrees && up(SHARD)) {
        stock::ensure_shard_agrees(database, &dataset, decided_by).await?;
    }
    let shards = cluster.numbered().map(|(shard, database)| {
        let shard = ShardDatabase::new(database, shard, &dataset).telling(label.rooms);
        Box::new(shard.keeping_stock(keeps_stock)) as Box<dyn ShardServer>
    });
    let shards: Vec<_> = shards.collect();
    let rooms = label.rooms.map(|places| RoomDatabases::new(places, &dataset, &cluster.shards));
    let main = MainDatabase::new(&cluster.main, &cluster.namespace, clock);
    let offered = Arc::new(OfferedCatalogue::load(&cluster.main, &main, unknown_users).await?);
    let (gate, queues) = gate_and_queues(around, &cluster, &dataset, &offered).await?;
    let servers = Servers { offered, queues, gate, shards, main: Arc::new(main), rooms, dataset };
    Ok((cluster, servers, versions))
}

/// The servers of gate and queues, where there are any.
type Around = Option<(RedisServer, Broker)>;

async fn reach(decided_by: DecidedBy, settings: &ServersSettings) -> anyhow::Result<Around> {
    if decided_by == DecidedBy::Database {
        return Ok(None);
    }
    let (broker, redis) = (Broker::new(&settings.rabbitmq)?, RedisServer::new(&settings.redis)?);
    redis.check().await?;
    Ok(Some((redis, broker)))
}

/// The gate and the queues of a data set or, where the one shard's database decides, what stands in their place.
async fn gate_and_queues(
    around: Around,
    cluster: &Cluster,
    dataset: &str,
    offered: &Arc<OfferedCatalogue>,
) -> anyhow::Result<(ConnectGate, Box<dyn QueueServer>)> {
    if let Some((redis, broker)) = around {
        let names = cluster.names(dataset);
        let queues = BrokerQueues::new(broker, names.clone(), u16::try_from(cluster.shards.len())?);
        let gate = move |patience| {
            Box::new(GateLink::new(redis.clone(), names.clone(), patience)) as Box<dyn GateServer>
        };
        return Ok((Box::new(gate), Box::new(queues)));
    }
    let [database] = &*cluster.shards else {
        bail!("setting `grab.decided_by`: a database decides grabs of one shard, and this data set has more")
    };
    stock::prepare(database).await?;
    let (database, dataset, offered) = (database.clone(), dataset.to_owned(), Arc::clone(offered));
    let gate = move |patience| {
        Box::new(StockGate::new(&database, &dataset, Arc::clone(&offered), patience)) as Box<dyn GateServer>
    };
    Ok((Box::new(gate), Box::new(LocalQueues::new(cluster.shards.len()))))
}
