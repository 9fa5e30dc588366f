//! A contestant that is up: started here on data of its own, or found running.

use std::fmt::Display;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coupon_audit::{AuditReport, Data, Scope, Start};
use coupon_core::ShardingStrategy;
use coupon_loadgen::http::{Target, get_json, post_json};
use coupon_seeding::SeedOptions;
use coupon_service::api::{AdminStats, Drained};
use coupon_store::settings::ServersSettings;
use coupon_strategies::{Spec, strategy_of_layout};
use tempfile::TempDir;

use super::launch::{Launch, target};
use super::process::program;
use super::servers::{Site, namespace};
use super::{Service, interrupt, launch, reads};

/// What all contestants that are started here have in common.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What each is seeded with: the same rows for all.
    pub seed: SeedOptions,
    /// Where their folders are kept; without it they are temporary.
    pub keep: Option<PathBuf>,
    /// Added before every call to a shard, to stand for a network.
    pub shard_rtt: Duration,
    /// The servers that they share; without them each is on files of its own.
    pub site: Option<Arc<Site>>,
    /// How many processes each has: more than one only on servers.
    pub processes: NonZeroUsize,
}

impl Setup {
    /// One process each, on files of its own that are temporary, and no network.
    #[must_use]
    pub const fn embedded(seed: SeedOptions) -> Self {
        Self { seed, keep: None, shard_rtt: Duration::ZERO, site: None, processes: NonZeroUsize::MIN }
    }
}

/// A contestant that answers.
#[derive(Debug)]
pub struct Running {
    /// What reports call it.
    pub name: String,
    /// Where it answers.
    pub target: Target,
    /// What it said of itself at the start.
    pub stats: AdminStats,
    /// The plain variant whose hotspot it is to cure, if it is a cure.
    pub cure_of: Option<&'static str>,
    /// How long its data took to seed, if that was done here.
    pub seeded: Option<Duration>,
    /// Its data, or why it cannot be audited.
    data: Result<Data, String>,
    strategy: Option<Arc<dyn ShardingStrategy>>,
    /// Where its servers are, if it is on any that are known here.
    site: Option<Arc<Site>>,
    /// What was made for it on servers.
    namespace: Option<String>,
    // Dropped in this order: a folder goes only after the services that use it.
    services: Vec<Service>,
    /// How they were started, if that was done here.
    launch: Option<Launch>,
    _folder: Option<Folder>,
}

impl Running {
    /// Seeds data of its own and starts the service on it.
    ///
    /// # Errors
    /// When the data cannot be seeded or the service does not start.
    pub fn start(spec: &Spec, setup: &Setup) -> Result<Self> {
        let started = Self::start_inner(spec, setup);
        if let (Err(_), Some(site), Ok(strategy)) = (&started, &setup.site, spec.strategy()) {
            // Why it did not start is what is told, and not whether its data could be removed.
            let _ = site.clear(&namespace(&spec.name), &*strategy);
        }
        started.with_context(|| format!("contestant {}", spec.name))
    }

    fn start_inner(spec: &Spec, setup: &Setup) -> Result<Self> {
        let program = program(&spec.program)?;
        let strategy = spec.strategy()?;
        let folder = Folder::make(setup.keep.as_deref(), &spec.name)?;
        let started = Instant::now();
        let Home { data, namespace, arguments, environment } = home(spec, setup, &*strategy, &folder)?;
        let seeded = started.elapsed();
        let (logs, processes) = (folder.path().to_owned(), setup.processes);
        let launch = Launch { program, arguments, environment, logs, processes };
        let services = launch.start()?;
        let target = target(&spec.name, &services)?;
        let stats: AdminStats = get_json(&target, "/admin/stats")?;
        ensure!(
            stats.layout == strategy.layout(),
            "the service lays rows out as {:?}, the seeder as {:?}: they are of different builds",
            stats.layout,
            strategy.layout()
        );
        Ok(Self {
            name: spec.name.clone(),
            target,
            stats,
            cure_of: spec.cure_of,
            seeded: Some(seeded),
            data: Ok(data),
            strategy: Some(strategy),
            site: setup.site.clone(),
            namespace,
            services,
            launch: Some(launch),
            _folder: Some(folder),
        })
    }

    /// Takes a service that runs already. It can be audited when its data folder is on this machine, or when the servers
    /// are known that it stores on.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn attach(target: Target, site: Option<Arc<Site>>) -> Result<Self> {
        let stats: AdminStats =
            get_json(&target, "/admin/stats").with_context(|| format!("--target {}", target.url("")))?;
        let shards = NonZeroU16::new(stats.shards).unwrap_or(NonZeroU16::MIN);
        let site = site.filter(|_| stats.namespace.is_some());
        Ok(Self {
            name: target.name.clone(),
            data: its_data(&stats, site.as_deref()),
            strategy: strategy_of_layout(&stats.layout, shards),
            target,
            stats,
            cure_of: None,
            seeded: None,
            site,
            namespace: None,
            services: Vec::new(),
            launch: None,
            _folder: None,
        })
    }

    /// The servers that it stores on, if it is on any that are known here.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        self.site.as_deref()
    }

    /// The settings of its databases, keys and queues, if they were made for it on servers.
    #[must_use]
    pub fn storage(&self) -> Option<ServersSettings> {
        Some(self.site.as_ref()?.of(self.namespace.as_deref()?))
    }

    /// Its strategy, if its layout is known here.
    #[must_use]
    pub fn strategy(&self) -> Option<&dyn ShardingStrategy> {
        self.strategy.as_deref()
    }

    /// One more process on the same data, with more settings; it ends when it is dropped.
    ///
    /// # Errors
    /// When it was not started here, or the process does not start.
    pub fn one_more(&self, settings: &[&str]) -> Result<Service> {
        self.launch.as_ref().context("it was not started here")?.one_more(settings)
    }

    /// Waits until everything handed over is stored and told to main; says how long that took.
    ///
    /// # Errors
    /// When it does not drain.
    pub fn drain(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut stored = None;
        loop {
            let drained = post_json::<Drained>(&self.target, "/admin/drain", &serde_json::json!({}));
            let Err(error) = drained else { return Ok(began.elapsed()) };
            // A long backlog takes longer than one request may wait. As long as rows are stored, it will end.
            let now = self.kept_counts().ok().flatten();
            if now.is_none() || now == stored {
                return Err(error);
            }
            stored = now;
        }
    }

    /// How many results each shard has, as the shards count themselves; nothing on files.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub fn kept_counts(&self) -> Result<Option<Vec<u64>>> {
        self.data.as_ref().map_or(Ok(None), Data::kept_counts)
    }

    /// Whether it can be audited, or why not.
    ///
    /// # Errors
    /// The reason.
    pub fn can_be_audited(&self) -> Result<(), String> {
        self.data.as_ref().map(drop).map_err(Clone::clone)
    }

    /// The newest result stored; what comes later is of the run that starts now. 0 without any, or without its data.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn newest_result(&self) -> Result<i64> {
        let Ok(data) = &self.data else { return Ok(0) };
        Ok(data.newest_result()?.unwrap_or(0))
    }

    /// What its data is like now, to be held against what a run makes of it; nothing when it cannot be audited.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn remember(&self) -> Result<Option<Start>> {
        self.data.as_ref().ok().map(Data::remember).transpose()
    }

    /// Waits until everything handed over is stored, and holds it against what was answered, now too.
    ///
    /// # Errors
    /// When it does not drain, or its data cannot be read. A violation is no error.
    pub fn audit(&self, scope: &Scope<'_>) -> Result<AuditReport> {
        let data = self.data.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        self.drain()?;
        data.settle()?;
        // What was pending until now has been stored since, and main may not have been told.
        self.drain()?;
        let reads = reads(data, &self.target, scope.claims)?;
        data.audit(&Scope { reads: Some(&reads), drained: true, ..*scope })
    }

    /// The end of its log, to go with an error.
    #[must_use]
    pub fn log(&self) -> String {
        self.services.iter().map(Service::log_tail).collect()
    }

    /// Stops its processes and starts them again on the same data. Says how long it took from there until each of them was
    /// ready (`/readyz`).
    ///
    /// # Errors
    /// When it was not started here, does not stop by itself, or is not ready in time.
    pub fn restart(&mut self) -> Result<Duration> {
        let launch = self.launch.as_ref().context("it was not started here")?;
        std::mem::take(&mut self.services).into_iter().try_for_each(Service::stop)?;
        let began = Instant::now();
        self.services = launch.start()?;
        self.target = target(&self.name, &self.services)?;
        launch::wait_until_ready(&self.target)?;
        Ok(began.elapsed())
    }

    /// Stops it, if it was started here, and removes what was made for it on servers.
    ///
    /// # Errors
    /// When it did not stop by itself, or something could not be removed.
    pub fn stop(self) -> Result<()> {
        let Self { name, services, site, namespace, strategy, _folder, .. } = self;
        let stopped = services.into_iter().map(Service::stop).collect::<Vec<_>>();
        let cleared = match (site, namespace, strategy) {
            (Some(site), Some(namespace), Some(strategy)) => site.clear(&namespace, &*strategy),
            _ => Ok(()),
        };
        let ended: Result<()> = stopped.into_iter().chain([cleared]).collect();
        ended.with_context(|| format!("contestant {name}"))
    }
}

/// Where a contestant's data is, and how its service is told.
struct Home {
    data: Data,
    /// What was made on servers.
    namespace: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// Makes a contestant's data.
fn home(spec: &Spec, setup: &Setup, strategy: &dyn ShardingStrategy, folder: &Folder) -> Result<Home> {
    let mut arguments = arguments(spec, setup);
    let Some(site) = &setup.site else {
        let data = folder.path().join("data");
        coupon_seeding::seed(&data, strategy, &setup.seed, false, &mut coupon_seeding::Silent)?;
        arguments.extend(["--data".to_owned(), data.to_string_lossy().into_owned()]);
        // Whatever the environment says, which the service shares.
        arguments.extend(["--set", "backend=embedded"].map(str::to_owned));
        return Ok(Home { data: Data::Folder(data), namespace: None, arguments, environment: Vec::new() });
    };
    let namespace = namespace(&spec.name);
    site.seed(&namespace, strategy, &setup.seed)?;
    let environment = site.environment(&namespace);
    Ok(Home { data: site.data(&namespace)?, namespace: Some(namespace), arguments, environment })
}

fn arguments(spec: &Spec, setup: &Setup) -> Vec<String> {
    let mut arguments: Vec<String> = ["--listen", "127.0.0.1:0", "--shards"].map(str::to_owned).into();
    arguments.push(spec.shards.to_string());
    let mut set = |setting: String| arguments.extend(["--set".to_owned(), setting]);
    spec.settings.iter().cloned().for_each(&mut set);
    if !setup.shard_rtt.is_zero() {
        set(format!("simulate.shard_rtt_ms={}", setup.shard_rtt.as_secs_f64() * 1e3));
    }
    arguments
}

/// The data of a service that runs already, when it is the data that the service means.
fn its_data(stats: &AdminStats, site: Option<&Site>) -> Result<Data, String> {
    let data = match (&stats.data, &stats.namespace, site) {
        (Some(folder), ..) => Data::Folder(PathBuf::from(folder)),
        (None, Some(namespace), Some(site)) => {
            site.data(namespace).map_err(|error| format!("its data is on servers: {error:#}"))?
        }
        (None, Some(_), None) => {
            return Err("its data is on servers: setting `servers.main` is missing".to_owned());
        }
        (None, None, _) => return Err(format!("its data is no folder: the backend is {}", stats.backend)),
    };
    let elsewhere = |why: &dyn Display| format!("{data} cannot be read here: {why}");
    match data.label() {
        Ok(label) if label.dataset == stats.dataset => Ok(data),
        Ok(label) => Err(elsewhere(&format!("it holds data set {}, not {}", label.dataset, stats.dataset))),
        Err(error) => Err(elsewhere(&format!("{error:#}"))),
    }
}

/// A contestant's folder: its data and its log.
#[derive(Debug)]
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn make(keep: Option<&Path>, name: &str) -> Result<Self> {
        if let Some(keep) = keep {
            let path = keep.join(name);
            let taken = path.join("data").exists();
            ensure!(!taken, "{} holds data already: remove it, or keep this run elsewhere", path.display());
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
            return Ok(Self::Kept(path));
        }
        let folder = tempfile::Builder::new().prefix("loadtest-").tempdir();
        let folder = folder.context("cannot make a temporary folder")?;
        interrupt::register_folder(folder.path().to_owned())?;
        Ok(Self::Temporary(folder))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(folder) = self {
            interrupt::forget_folder(folder.path());
        }
    }
}
