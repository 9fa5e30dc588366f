//! Puts a service together and runs it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use anyhow::Context as _;
use coupon_core::{ShardingStrategy, TimeRange};
use coupon_store::clock::Clock;
use coupon_store::settings::{BackendKind, Settings, UnknownUsers};

use crate::delayed::delayed;
use crate::http;
use crate::limits::{Connections, UserLimit};
use crate::open::{Open, open};
use crate::pipeline::{BatchLimits, Batcher, GrabCounters};
use crate::queries::Queries;
use crate::room_cache::RoomStatsCache;
use crate::route_metrics::RouteMetrics;
use crate::state::Service;
use crate::telemetry::traces::{self, Traces};
use crate::user_token::UserTokens;

/// The time limit for a connection's closing handshake.
const GOODBYE: Duration = Duration::from_secs(1);
/// The time for which a stopping service waits for answers under way, in seconds.
const SHUTDOWN_S: u64 = 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4_096;
/// The interval at which tables are made ahead of need.
const UPKEEP: Duration = Duration::from_secs(60);
/// The interval at which users are forgotten who need not be remembered.
const SWEEP: Duration = Duration::from_secs(10);
/// Workers' ids must stay clear of those kept for stock logs and history.
const WORKERS_MAX: usize = 1_000;
/// A second: stock that came back is seen no later.
const MEMORY_MS_MAX: u64 = 1_000;
/// Redis' Lua takes no more than some 8,000 values at once, and a grab has up to three.
const BATCH_MAX: usize = 2_048;

/// A service that is bound to its port and ready to run.
pub struct Application {
    service: web::Data<Service>,
    server: Server,
    address: SocketAddr,
}

impl Application {
    /// Opens the backend, binds the port.
    ///
    /// # Errors
    /// When a setting, the data folder or the port cannot be used; the message says which, and why.
    pub fn build(
        name: &str,
        settings: Settings,
        strategy: Arc<dyn ShardingStrategy>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        Self::build_opening(open, name, settings, strategy, clock)
    }

    /// The same, for a program that opens its backend otherwise.
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn build_opening(
        open: Open,
        name: &str,
        settings: Settings,
        strategy: Arc<dyn ShardingStrategy>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        check(&settings)?;
        // The port first: it is the cheaper of the two to find taken.
        let listener = TcpListener::bind(settings.listen)
            .with_context(|| format!("setting `listen`: cannot listen on {}", settings.listen))?;
        // The standard library asks for 128, and a sale begins with more handshakes at once.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let service = web::Data::new(assemble(open, name, settings, strategy, clock)?);
        let server = serve(&service, listener)?;
        Ok(Self { service, server, address })
    }

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state that its handlers share.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until a signal or its handle stops it; then answers what it has accepted, stores it, and returns.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let service = web::Data::clone(&self.service);
        let upkeep = actix_web::rt::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                let today = service.clock.now().day();
                let window = TimeRange::new(today.start(), today.next().next().start());
                let tables = service.backend.layouts.now().tables(window);
                service.backend.lifecycle.make_tables(&tables);
            }
        });
        let service = web::Data::clone(&self.service);
        let sweep = actix_web::rt::spawn(async move {
            let limits = [&service.grab_limit, &service.return_limit];
            loop {
                tokio::time::sleep(SWEEP).await;
                limits.into_iter().flatten().for_each(UserLimit::sweep);
            }
        });
        let served = self.server.await;
        upkeep.abort();
        sweep.abort();
        let service = self.service;
        web::block(move || {
            service.backend.lifecycle.close();
            if let Some(traces) = &service.traces {
                traces.close();
            }
        })
        .await?;
        tracing::info!("stopped; everything accepted is safe");
        Ok(served?)
    }
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    anyhow::ensure!(
        settings.backend == BackendKind::Embedded || settings.embedded.data.as_os_str().is_empty(),
        "--data (setting `embedded.data`) is for the embedded backend, and the backend is servers: leave one of them out"
    );
    anyhow::ensure!(
        settings.users.unknown == UnknownUsers::Refuse || !settings.users.token_secret.is_empty(),
        "setting `users.unknown` may only be `accept` where `users.token_secret` is set: the token is all there is to say who a \
         user is"
    );
    let batch = settings.grab.batch_max.get();
    anyhow::ensure!(batch <= BATCH_MAX, "setting `grab.batch_max` must be at most {BATCH_MAX}, not {batch}");
    let memory = settings.grab.memory_ms;
    anyhow::ensure!(
        memory <= MEMORY_MS_MAX,
        "setting `grab.memory_ms` must be at most {MEMORY_MS_MAX} milliseconds, not {memory}"
    );
    let (workers, rtt) = (settings.workers.get(), settings.simulate.shard_rtt_ms);
    anyhow::ensure!(workers <= WORKERS_MAX, "setting `workers` must be at most {WORKERS_MAX}, not {workers}");
    let rtt_ok = (0.0..=10_000.0).contains(&rtt);
    anyhow::ensure!(
        rtt_ok,
        "setting `simulate.shard_rtt_ms` must be from 0 to 10000 milliseconds, not {rtt}"
    );
    Ok(())
}

fn assemble(
    open: Open,
    name: &str,
    settings: Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: Clock,
) -> anyhow::Result<Service> {
    let started = Instant::now();
    let grab_limit = UserLimit::of_grabs(&settings.limits)?;
    let return_limit = UserLimit::of_returns(&settings.limits);
    let user_tokens = UserTokens::new(&settings.users.token_secret)?;
    let connections = Arc::new(Connections::new(&settings.limits));
    let traces = Traces::start(&settings.telemetry, name, strategy.name())?;
    let backend = open(&settings, strategy, &clock)?;
    let backend =
        Arc::new(delayed(backend, Duration::from_secs_f64(settings.simulate.shard_rtt_ms / 1_000.0)));
    let counters = Arc::new(GrabCounters::new(backend.layouts.prepared().get()));
    let timeout = Duration::from_millis(settings.reads.timeout_ms.get() as u64);
    let queries = Queries::new(Arc::clone(&backend), timeout);
    let room_stats = RoomStatsCache::new(Duration::from_millis(settings.cache.room_stats_ms));
    tracing::info!(
        dataset = backend.dataset,
        layout = backend.layouts.now().layout(),
        data = backend.data.folder().as_deref().unwrap_or("-"),
        opened_ms = started.elapsed().as_millis(),
        "data set opened"
    );
    Ok(Service {
        name: name.to_owned(),
        backend,
        queries,
        counters,
        grab_limit,
        return_limit,
        connections,
        user_tokens,
        room_stats,
        clock,
        settings,
        traces,
        route_metrics: RouteMetrics::new(),
        started,
    })
}

fn serve(service: &web::Data<Service>, listener: TcpListener) -> anyhow::Result<Server> {
    let batches = BatchLimits {
        batch_max: service.settings.grab.batch_max.get(),
        in_flight: service.settings.grab.in_flight.get(),
        waiting_max: service.settings.grab.waiting_max.get(),
        memory: Duration::from_millis(service.settings.grab.memory_ms),
    };
    let next_worker = Arc::new(AtomicU16::new(0));
    let (shared, workers) = (web::Data::clone(service), service.settings.workers.get());
    let server = HttpServer::new(move || {
        // This runs once a worker, on its thread.
        let worker = next_worker.fetch_add(1, Ordering::Relaxed);
        traces::use_here(shared.traces.clone());
        let ids = shared.backend.ids.generator(&shared.clock, worker);
        let batcher = Batcher::new(Arc::clone(&shared.backend), Arc::clone(&shared.counters), batches, ids);
        App::new()
            .wrap(http::Watch(web::Data::clone(&shared)))
            .app_data(web::Data::clone(&shared))
            .app_data(batcher)
            .configure(|cfg| http::configure(cfg, &shared.route_metrics))
    });
    let (limits, connections) = (&service.settings.limits, Arc::clone(&service.connections));
    let refusal = http::refusal("too many connections come from this address");
    let server = server
        .workers(workers)
        .max_connections(limits.connections.get().div_ceil(workers))
        .on_connect(move |stream, data| connections.opened(stream, data, &refusal))
        .client_request_timeout(limits.head())
        .keep_alive(limits.idle())
        .client_disconnect_timeout(GOODBYE)
        .shutdown_timeout(SHUTDOWN_S)
        .listen(listener)?
        .run();
    Ok(server)
}
