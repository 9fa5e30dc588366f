//! Opens the servers as a backend: checks what they are, starts the tasks, waits for the gate.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use coupon_core::{PerGate, ShardId, ShardingStrategy, Versioned, Whole};
use coupon_store::clock::Clock;
use coupon_store::hand_over::StoredAtGrant;
use coupon_store::ids::IdSource;
use coupon_store::settings::{DecidedBy, Role, ServersSettings, UnknownUsers};
use coupon_store::stock::{SHARD, ensure_one_table};
use coupon_store::{Backend, Data, Gate, Growing, HandOver, Layouts, RoomIndex, VersionRecord};
use tokio::time::timeout;

use super::broker::{Broker, BrokerQueues};
use super::catalogue::{OfferedCatalogue, ServersCatalogue};
use super::cluster::{Cluster, Opened, ensure_by_hand};
use super::engine::{AllLanes, Bounds, Engine};
use super::gate::{GateLink, RedisServer};
use super::lane::Lane;
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

/// The longest that a start waits for a gate that has to be filled first: until then no request is answered at all.
const GATE: Duration = Duration::from_secs(5);

/// The longest that a command waits until the gates are filled.
const FILLED: Duration = Duration::from_secs(3_600);
/// The most results that wait for a shard of a process that takes no grabs.
const BACKLOG: usize = 1_000;

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
    /// The treatment of users whom main does not know.
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
    open_by(ByHand(decided_by), options, strategy, clock)
}

/// Opens the servers for a strategy, on whichever way leads to its shards.
pub(super) fn open_by(
    connects: impl Connects,
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
            match Parts::assemble(connects, &options, strategy, &clock).await {
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

/// The way to a data set.
pub(super) trait Connects: Send + 'static {
    /// What decides grabs.
    fn decided_by(&self) -> DecidedBy;

    /// Connects to its servers. Where there is no data set yet, makes one that holds the sample catalogue.
    async fn connect(self, asked: &Asked<'_>) -> anyhow::Result<ConnectedDataSet>;
}

/// What is asked of a way to a data set.
pub(super) struct Asked<'a> {
    pub(super) settings: &'a ServersSettings,
    pub(super) strategy: &'a dyn ShardingStrategy,
    /// The shards that are to be open at least.
    pub(super) prepared: NonZeroU16,
    pub(super) unknown_users: UnknownUsers,
    pub(super) room_index: bool,
    pub(super) clock: &'a Clock,
}

/// A data set that was connected to.
pub(super) struct ConnectedDataSet {
    pub(super) cluster: Cluster,
    pub(super) servers: Servers,
    pub(super) versions: Vec<VersionRecord>,
    /// The lane of each of its shards.
    pub(super) lanes: Vec<Lane>,
    /// Whether each of these is on one shard, where an engine has them.
    pub(super) bounds: Option<Arc<Bounds>>,
    /// The way to all of them at once, where an engine has them.
    pub(super) whole: Option<AllLanes>,
}

/// The way to shards that are run by hand.
struct ByHand(DecidedBy);

impl Connects for ByHand {
    fn decided_by(&self) -> DecidedBy {
        self.0
    }

    async fn connect(self, asked: &Asked<'_>) -> anyhow::Result<ConnectedDataSet> {
        connect_all(self.0, asked).await
    }
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
        connects: impl Connects,
        options: &Options,
        strategy: Arc<dyn ShardingStrategy>,
        clock: &Clock,
    ) -> anyhow::Result<(Self, Process)> {
        let (settings, decided_by) = (&options.servers, connects.decided_by());
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
        let asked = Asked {
            settings,
            strategy: &*strategy,
            prepared,
            unknown_users: options.unknown_users,
            room_index: options.room_index,
            clock,
        };
        let ConnectedDataSet { cluster, servers, versions, lanes, bounds, whole } =
            connects.connect(&asked).await?;
        let part = ProcessPart::of(settings, options.workers, options.shard_backlog);
        let layouts = layouts(&cluster, strategy, &versions, part)?;
        let process = Process::start(servers, part, layouts, clock).await?;
        if timeout(GATE, process.background.wait_for_the_gates()).await.is_err() {
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
                lanes,
                bounds,
                whole,
                pools: PerThread::default(),
                whole_pools: PerThread::default(),
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

/// The layouts of a data set, as a process with that part goes by them.
fn layouts(
    cluster: &Cluster,
    strategy: Arc<dyn ShardingStrategy>,
    versions: &[VersionRecord],
    part: ProcessPart,
) -> anyhow::Result<Arc<Layouts>> {
    let opened = u16::try_from(cluster.shards.len()).ok().and_then(NonZeroU16::new);
    let opened = opened.unwrap_or(strategy.shard_count());
    let versions = versioned(&Versioned::first(strategy), versions)?;
    Ok(Arc::new(Layouts::new(versions, opened).good_for(RELIES.min(part.layout_lead / 2))))
}

/// Fills the gates of a data set whose services are stopped, as one of them would, and ends once all are open.
///
/// # Errors
/// As for [`open`], and when a gate does not open within an hour; the log says why.
pub async fn fill_gates(
    settings: &ServersSettings,
    strategy: Arc<dyn ShardingStrategy>,
    room_index: bool,
    clock: &Clock,
) -> anyhow::Result<()> {
    match strategy.whole() {
        Whole::Shards(_) => {
            fill_gates_by(ByHand(DecidedBy::Gate), settings, strategy, room_index, clock).await
        }
        Whole::Planned(_) => fill_gates_by(Engine, settings, strategy, room_index, clock).await,
    }
}

async fn fill_gates_by(
    connects: impl Connects,
    settings: &ServersSettings,
    strategy: Arc<dyn ShardingStrategy>,
    room_index: bool,
    clock: &Clock,
) -> anyhow::Result<()> {
    let (prepared, unknown_users) = (strategy.shard_count(), UnknownUsers::Refuse);
    let asked = Asked { settings, strategy: &*strategy, prepared, unknown_users, room_index, clock };
    let ConnectedDataSet { cluster, servers, versions, .. } = connects.connect(&asked).await?;
    // Filling a gate has markers go through the queues: this process takes them from there.
    let part = ProcessPart { role: Role::Consumer, ..ProcessPart::of(settings, 1, BACKLOG) };
    let layouts = layouts(&cluster, strategy, &versions, part)?;
    let process = Process::start(servers, part, layouts, clock).await?;
    let background = Arc::clone(&process.background);
    let opened = async {
        let opened = timeout(FILLED, background.wait_for_the_gates()).await;
        background.signals.stop();
        opened.context("the gates are not open yet; a service that starts goes on filling them")
    };
    let (opened, ()) = tokio::join!(opened, process.run());
    opened
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
    let (prepared, unknown_users) = (strategy.shard_count(), UnknownUsers::Refuse);
    let asked = Asked { settings, strategy, prepared, unknown_users, room_index: false, clock };
    Ok(connect_all(decided_by, &asked).await?.servers)
}

async fn connect_all(decided_by: DecidedBy, asked: &Asked<'_>) -> anyhow::Result<ConnectedDataSet> {
    let Asked { settings, strategy, prepared, room_index, .. } = *asked;
    ensure_by_hand(strategy)?;
    let keeps_stock = decided_by == DecidedBy::Database;
    // A database has no gates, whatever the setting names.
    let redis = if keeps_stock { Vec::new() } else { settings.redis.clone() };
    let settings = &ServersSettings { redis, ..settings.clone() };
    let cluster = Cluster::with(settings, Namespace::new(&settings.namespace, strategy.name())?, prepared)?;
    if keeps_stock {
        ensure_one_table(strategy, prepared.get())?;
    }
    let around = reach(decided_by, settings).await?;
    // Before anything of it is changed.
    let main_agrees = stock::ensure_main_agrees(&cluster.main, decided_by).await?;
    let Opened { label, cluster, versions, gate_list, down } =
        cluster.open(&strategy.layout(), room_index).await?;
    for (shard, error) in &down {
        tracing::warn!(%shard, %error, "a shard is down; the others are served");
    }
    let dataset = label.dataset;
    let up = |shard: ShardId| !down.iter().any(|(down, _)| *down == shard);
    if let Some(database) = cluster.shards.first().filter(|_| !main_agrees && up(SHARD)) {
        stock::ensure_shard_agrees(database, &dataset, decided_by).await?;
    }
    let count = cluster.gates.count();
    let shards = cluster.numbered().map(|(shard, database)| {
        let shard = ShardDatabase::new(database, shard, &dataset).telling(label.rooms).of_gates(count);
        Box::new(shard.keeping_stock(keeps_stock)) as Box<dyn ShardServer>
    });
    let shards: Vec<_> = shards.collect();
    let rooms = label.rooms.map(|places| RoomDatabases::new(places, &dataset, &cluster.shards));
    let servers = servers_of(&cluster, &dataset, shards, rooms, around, gate_list, asked).await?;
    let lanes = vec![Lane::ONLY; cluster.shards.len()];
    Ok(ConnectedDataSet { cluster, servers, versions, lanes, bounds: None, whole: None })
}

/// The servers of a data set whose shards are these, and whose gates are in the list of that number.
pub(super) async fn servers_of(
    cluster: &Cluster,
    dataset: &str,
    shards: Vec<Box<dyn ShardServer>>,
    rooms: Option<RoomDatabases>,
    around: Around,
    gate_list: u64,
    asked: &Asked<'_>,
) -> anyhow::Result<Servers> {
    let count = cluster.gates.count();
    let main = MainDatabase::new(&cluster.main, &cluster.namespace, asked.clock).of_gates(count);
    let offered = Arc::new(OfferedCatalogue::load(&cluster.main, &main, asked.unknown_users).await?);
    let (gates, queues) = gates_and_queues(around, cluster, dataset, &offered).await?;
    // A process with one gate asks for no list: it finds no row of a data set that has several.
    let list = if count.is_several() { gate_list } else { 0 };
    let dataset = dataset.to_owned();
    Ok(Servers { offered, queues, gates, shards, main: Arc::new(main), rooms, dataset, list })
}

/// The servers of gates and queues, where there are any.
pub(super) type Around = Option<(PerGate<RedisServer>, Broker)>;

pub(super) async fn reach(decided_by: DecidedBy, settings: &ServersSettings) -> anyhow::Result<Around> {
    if decided_by == DecidedBy::Database {
        return Ok(None);
    }
    let (broker, gates) = (Broker::new(&settings.rabbitmq)?, RedisServer::list(&settings.redis)?);
    ensure_usable(&gates, gates.count().is_several()).await?;
    Ok(Some((gates, broker)))
}

/// Refuses gates of which one cannot be a gate, or of which two are one Redis. One of several may be down where the others
/// take grabs meanwhile.
pub(super) async fn ensure_usable(gates: &PerGate<RedisServer>, may_be_down: bool) -> anyhow::Result<()> {
    let (mut down, mut runs) = (Vec::new(), HashMap::new());
    for redis in gates.iter() {
        if may_be_down && let Err(error) = redis.connect().await {
            down.push(error);
            continue;
        }
        if let Some(run) = redis.check().await?
            && let Some(other) = runs.insert(run, redis.place())
        {
            bail!(
                "setting `servers.redis`: {other} and {} are the same Redis: each gate has one of its own",
                redis.place()
            );
        }
    }
    if down.len() == usize::from(gates.count().get())
        && let Some(error) = down.pop()
    {
        return Err(error.into());
    }
    for error in down {
        tracing::warn!(%error, "a gate is down; the others take grabs");
    }
    Ok(())
}

/// The gates and the queues of a data set or, where the one shard's database decides, what stands in their place.
async fn gates_and_queues(
    around: Around,
    cluster: &Cluster,
    dataset: &str,
    offered: &Arc<OfferedCatalogue>,
) -> anyhow::Result<(PerGate<ConnectGate>, Box<dyn QueueServer>)> {
    if let Some((gates, broker)) = around {
        let names = cluster.names(dataset);
        let queues = BrokerQueues::new(broker, names.clone(), u16::try_from(cluster.shards.len())?);
        let gates = gates.map(|_, redis| {
            let names = names.clone();
            let gate = move |patience| {
                Box::new(GateLink::new(redis.clone(), names.clone(), patience)) as Box<dyn GateServer>
            };
            Box::new(gate) as ConnectGate
        });
        return Ok((gates, Box::new(queues)));
    }
    let [database] = &*cluster.shards else {
        bail!("setting `grab.decided_by`: a database decides grabs of one shard, and this data set has more")
    };
    stock::prepare(database).await?;
    let (database, dataset, offered) = (database.clone(), dataset.to_owned(), Arc::clone(offered));
    let gate = move |patience| {
        Box::new(StockGate::new(&database, &dataset, Arc::clone(&offered), patience)) as Box<dyn GateServer>
    };
    Ok((PerGate::one(Box::new(gate) as ConnectGate), Box::new(LocalQueues::new(cluster.shards.len()))))
}
