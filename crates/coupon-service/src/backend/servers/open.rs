//! Opens the servers as a backend: checks what they are, starts the tasks, waits for the gate.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::ShardingStrategy;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::broker::{Broker, Publisher};
use super::catalogue::ServersCatalogue;
use super::cluster::Cluster;
use super::gate::{EpochCell, Link, RedisGate, RedisServer};
use super::hand_over::Queues;
use super::per_thread::PerThread;
use super::shards::ServersShards;
use super::status::ShardStatus;
use super::tasks::{Applier, Background, Consumer, Gatekeeper, Leases, Reconciler, look, random, watch};
use crate::backend::Backend;
use crate::clock::Clock;
use crate::pipeline::IdSource;
use crate::settings::ServersSettings;

/// The longest that a start waits for a gate that has to be filled first.
const GATE: Duration = Duration::from_secs(20);
/// How long the tasks may take to end.
const END: Duration = Duration::from_secs(15);

/// What to open, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the servers are.
    pub servers: ServersSettings,
    /// HTTP workers, each of which makes ids of its own.
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
            match Tasks::start(&options, strategy, &clock).await {
                Ok((backend, tasks)) => {
                    let _ = tell.send(Ok(backend));
                    tasks.run().await;
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

/// What the tasks leave to the HTTP workers.
struct Parts {
    queues: Queues,
    gate: RedisGate,
    shards: ServersShards,
    catalogue: Arc<ServersCatalogue>,
    ids: IdSource,
    dataset: String,
    namespace: String,
}

impl Parts {
    fn into_backend(self, thread: thread::JoinHandle<()>) -> Backend {
        *self.queues.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(thread);
        Backend {
            kind: "servers",
            dataset: self.dataset,
            data: None,
            namespace: Some(self.namespace),
            ids: self.ids,
            gate: Box::new(self.gate),
            hand_over: Box::new(self.queues),
            shards: Box::new(self.shards),
            catalogue: Box::new(self.catalogue),
            lock: None,
        }
    }
}

/// Everything that runs beside the HTTP workers.
struct Tasks {
    background: Arc<Background>,
    leases: Arc<Leases>,
    consumers: JoinSet<()>,
    applier: JoinSet<()>,
    /// Those that have nothing to bring to an end.
    others: JoinSet<()>,
}

impl Tasks {
    async fn start(
        options: &Options,
        strategy: Arc<dyn ShardingStrategy>,
        clock: &Clock,
    ) -> anyhow::Result<(Parts, Self)> {
        let settings = &options.servers;
        let cluster = Cluster::new(settings, &*strategy)?;
        let (broker, redis) = (Broker::new(&settings.rabbitmq)?, RedisServer::new(&settings.redis)?);
        redis.check().await?;
        let opened = cluster.open(&strategy.layout()).await?;
        for (shard, error) in &opened.down {
            tracing::warn!(%shard, %error, "a shard is down; the others are served");
        }
        let dataset = opened.label.dataset;
        let names = cluster.names(&dataset);
        let admin = broker.admin().await?;
        admin.declare(&names, strategy.shard_count().get()).await?;
        admin.close().await;
        let catalogue = Arc::new(ServersCatalogue::load(&cluster.main).await?);
        let leases =
            Leases::take(&cluster.main, clock, format!("{:016x}", random()), options.workers + 1).await?;
        let publish = Duration::from_millis(settings.publish_timeout_ms.get());
        let shards = usize::from(strategy.shard_count().get());
        let background = Arc::new(Background {
            dataset: dataset.clone(),
            names: names.clone(),
            broker: broker.clone(),
            redis: Link::new(redis.clone()),
            publisher: Publisher::start(broker, publish),
            strategy: Arc::clone(&strategy),
            clock: clock.clone(),
            catalogue: Arc::clone(&catalogue),
            epoch: Arc::new(EpochCell::default()),
            status: (0..shards).map(|_| Arc::new(ShardStatus::new())).collect(),
            positions: (0..shards).map(|_| AtomicI64::new(0)).collect(),
            in_flight: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            reconciled: AtomicU64::new(0),
            to_apply: Notify::new(),
            applied: Notify::new(),
            stop: AtomicBool::new(false),
            consumed: AtomicBool::new(false),
            cluster,
        });
        let mut tasks = Self {
            background,
            leases: Arc::new(leases),
            consumers: JoinSet::new(),
            applier: JoinSet::new(),
            others: JoinSet::new(),
        };
        let ids = tasks.spawn(settings, publish)?;
        tasks.wait_for_the_gate().await;
        let timeout = Duration::from_millis(settings.gate_timeout_ms.get());
        let background = Arc::clone(&tasks.background);
        let parts = Parts {
            gate: RedisGate::new(
                redis,
                names,
                Arc::clone(&background.epoch),
                Arc::clone(&catalogue),
                timeout,
            ),
            shards: ServersShards {
                databases: background.cluster.with_own_pools().shards,
                status: background.status.clone(),
                dataset: dataset.clone(),
            },
            catalogue,
            ids,
            dataset,
            namespace: background.cluster.namespace.as_str().to_owned(),
            queues: Queues {
                background,
                publishers: PerThread::default(),
                role: settings.role,
                timeout: publish,
                backlog: options.shard_backlog as u64,
                tasks: tokio::runtime::Handle::current(),
                thread: std::sync::Mutex::new(None),
            },
        };
        Ok((parts, tasks))
    }

    /// Starts every task; what is left are the ids of the HTTP workers.
    fn spawn(&mut self, settings: &ServersSettings, publish: Duration) -> anyhow::Result<IdSource> {
        let background = &self.background;
        for shard in background.shards() {
            self.others.spawn(watch(Arc::clone(background), shard));
        }
        let mut numbers = self.leases.numbers.clone();
        let for_logs = numbers.pop().context("no worker number was leased")?;
        self.others.spawn(Arc::clone(&self.leases).keep());
        self.others.spawn(Gatekeeper::new(Arc::clone(background)).run());
        if settings.role.consumes() {
            for shard in background.shards() {
                self.consumers.spawn(Consumer::new(Arc::clone(background), shard).run());
            }
            let log_ids = IdSource::Leased(vec![for_logs]).generator(&background.clock, 0);
            self.applier.spawn(Applier::new(Arc::clone(background), log_ids).run());
            let every = Duration::from_millis(settings.reconcile_ms.get());
            self.others.spawn(Reconciler::new(Arc::clone(background), every, publish * 2).run());
        }
        ensure!(!numbers.is_empty(), "no worker number was leased");
        Ok(IdSource::Leased(numbers))
    }

    /// A start that finds the gate shut waits for it a while, so that the first grabs are not turned away.
    async fn wait_for_the_gate(&self) {
        let open = async {
            for shard in self.background.shards() {
                look(&self.background, shard).await;
            }
            while self.background.epoch.open().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(GATE, open).await.is_err() {
            tracing::warn!("the gate is shut: grabs are answered with 503 until it has been filled");
        }
    }

    /// Until the process stops.
    async fn run(mut self) {
        while !self.background.stopping() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What is being stored is brought to its end; what waits in the queues is safe there.
        ended(&mut self.consumers).await;
        self.background.consumed.store(true, Ordering::Release);
        self.background.to_apply.notify_one();
        ended(&mut self.applier).await;
        self.others.shutdown().await;
        if let Err(error) = self.leases.give_back().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "worker numbers are not given back; their lease ends by itself"
            );
        }
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(END, all).await.is_err() {
        tracing::warn!("a task did not end in time");
        tasks.shutdown().await;
    }
}
