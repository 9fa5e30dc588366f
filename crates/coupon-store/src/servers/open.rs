//! Opens the servers as a backend: checks what they are, starts the tasks, waits for the gate.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::ShardingStrategy;

use super::broker::{Broker, BrokerQueues};
use super::catalogue::ServersCatalogue;
use super::cluster::Cluster;
use super::counts::Counts;
use super::gate::{EpochCell, GateLink, RESPONSE, RedisServer, ServersGate};
use super::hand_over::Queues;
use super::lifecycle::Running;
use super::mysql::ShardDatabase;
use super::names::random;
use super::own_metrics::ServersMetrics;
use super::per_thread::PerThread;
use super::seam::{GateServer, QueueServer, ShardServer};
use super::shards::ServersShards;
use super::status::ShardStatus;
use super::tasks::{
    Background, Crew, Floors, GateHandle, Leases, QueuesHandle, Signals, Time, agree_at_start, look,
};
use crate::clock::Clock;
use crate::ids::IdSource;
use crate::settings::ServersSettings;
use crate::{Backend, Data};

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
    let (options, clock) = (options.clone(), clock.clone());
    let (tell, told) = mpsc::channel();
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let failed = tell.clone();
        runtime.block_on(async {
            match Parts::assemble(&options, strategy, &clock).await {
                Ok((parts, crew)) => {
                    let _ = tell.send(Ok(parts));
                    crew.run().await;
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
    queues: Queues,
    gate: ServersGate,
    shards: ServersShards,
    catalogue: Arc<ServersCatalogue>,
    ids: IdSource,
    background: Arc<Background>,
    runtime: tokio::runtime::Handle,
}

impl Parts {
    async fn assemble(
        options: &Options,
        strategy: Arc<dyn ShardingStrategy>,
        clock: &Clock,
    ) -> anyhow::Result<(Self, Crew)> {
        let settings = &options.servers;
        ensure!(
            options.workers <= WORKERS_MAX,
            "setting `workers` must be at most {WORKERS_MAX} on servers, not {}: start more processes instead",
            options.workers
        );
        let cluster = Cluster::new(settings, &*strategy)?;
        let (broker, redis) = (Broker::new(&settings.rabbitmq)?, RedisServer::new(&settings.redis)?);
        redis.check().await?;
        let opened = cluster.open(&strategy.layout()).await?;
        let agreement = agree_at_start(&cluster.main, clock).await?;
        for (shard, error) in &opened.down {
            tracing::warn!(%shard, %error, "a shard is down; the others are served");
        }
        let names = cluster.names(&opened.label.dataset);
        let shards = strategy.shard_count().get();
        let queues: Box<dyn QueueServer> = Box::new(BrokerQueues::new(broker, names.clone(), shards));
        let admin = queues.admin().await?;
        admin.declare().await?;
        admin.close().await;
        let catalogue = Arc::new(ServersCatalogue::load(&cluster.main).await?);
        let holder = format!("{:016x}", random());
        let leases =
            Leases::take(&cluster.main, clock, holder, options.workers, Arc::clone(&agreement)).await?;
        let background = Arc::new(Background {
            databases: shard_servers(&cluster, &opened.label.dataset),
            dataset: opened.label.dataset,
            catalogue,
            status: (0..shards).map(|_| Arc::new(ShardStatus::new())).collect(),
            gate: GateHandle {
                server: Box::new(GateLink::new(redis.clone(), names.clone(), RESPONSE)),
                epoch: Arc::new(EpochCell::default()),
            },
            queues: QueuesHandle::new(queues, settings.publish_timeout(), shards),
            names,
            floors: Floors::new(shards),
            time: Time { clock: clock.clone(), agreement },
            signals: Signals::default(),
            counts: Counts::new(shards),
            strategy,
            cluster,
        });
        let (crew, ids) = Crew::start(&background, leases, settings);
        wait_for_the_gate(&background).await;
        Ok((Self::new(&background, redis, ids, options), crew))
    }

    fn new(background: &Arc<Background>, redis: RedisServer, ids: IdSource, options: &Options) -> Self {
        let settings = &options.servers;
        let (epoch, catalogue) = (Arc::clone(&background.gate.epoch), Arc::clone(&background.catalogue));
        let timeout = Duration::from_millis(settings.gate_timeout_ms.get());
        let names = background.names.clone();
        let connect =
            move || -> Box<dyn GateServer> { Box::new(GateLink::new(redis.clone(), names.clone(), timeout)) };
        Self {
            gate: ServersGate::new(Box::new(connect), epoch, Arc::clone(&catalogue)),
            shards: ServersShards {
                databases: background.cluster.shards.clone(),
                pools: PerThread::default(),
                status: background.status.clone(),
                dataset: background.dataset.clone(),
            },
            catalogue,
            ids,
            background: Arc::clone(background),
            runtime: tokio::runtime::Handle::current(),
            queues: Queues {
                background: Arc::clone(background),
                publishers: PerThread::default(),
                role: settings.role,
                timeout: settings.publish_timeout(),
                backlog: options.shard_backlog as u64,
            },
        }
    }

    fn into_backend(self, thread: thread::JoinHandle<()>) -> Backend {
        let Self { queues, gate, shards, catalogue, ids, background, runtime } = self;
        let (role, namespace) = (queues.role, background.cluster.namespace.as_str().to_owned());
        Backend {
            dataset: background.dataset.clone(),
            ids,
            gate: Box::new(gate),
            lifecycle: Box::new(Running::new(Arc::clone(&background), runtime, thread)),
            hand_over: Box::new(queues),
            shards: Box::new(shards),
            catalogue: Box::new(catalogue),
            own_metrics: Box::new(ServersMetrics { background, role }),
            data: Data::Servers(namespace),
        }
    }
}

fn shard_servers(cluster: &Cluster, dataset: &str) -> Vec<Box<dyn ShardServer>> {
    let server =
        |(shard, database)| Box::new(ShardDatabase::new(database, shard, dataset)) as Box<dyn ShardServer>;
    cluster.numbered().map(server).collect()
}

/// A start that finds the gate shut waits for it a while, so that the first grabs are not turned away.
async fn wait_for_the_gate(background: &Background) {
    let open = async {
        for shard in background.shards() {
            look(background, shard).await;
        }
        while background.gate.epoch.open().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(GATE, open).await.is_err() {
        tracing::warn!("the gate is shut: grabs are answered with 503 until it has been filled");
    }
}
