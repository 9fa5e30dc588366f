//! A contestant that is up: started here on data of its own, or found running.

use std::fmt::Display;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coupon_audit::{AuditReport, Data, Scope, StartState};
use coupon_core::ShardingStrategy;
use coupon_loadgen::http::{Target, get_json};
use coupon_seeding::SeedOptions;
use coupon_service::api::AdminStats;
use coupon_store::settings::ServersSettings;
use coupon_strategies::{Spec, strategy_of_layout};
use tempfile::TempDir;

use super::interrupt;
use super::prepared::Prepared;
use super::process::{ServiceCommand, ServiceProcess, target_of, wait_until_ready};
use super::programs::program;
use super::servers::{SharedServers, namespace};
use super::settle::{self, Patience};

/// The settings that all contestants which are started here have in common.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The options that each is seeded with: the same rows for all.
    pub seed: SeedOptions,
    /// The folder that keeps theirs; without it they are temporary.
    pub keep: Option<PathBuf>,
    /// Added before every call to a shard, to stand for a network.
    pub shard_rtt: Duration,
    /// The servers that they share; without them each is on files of its own.
    pub site: Option<Arc<SharedServers>>,
    /// The number of processes of each: more than one only on servers.
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
pub struct Deployment {
    /// Its name in reports.
    pub name: String,
    /// The address at which it answers.
    pub target: Target,
    /// Its own figures at the start.
    pub stats: AdminStats,
    /// The plain variant whose hotspot it is to cure, if it is a cure.
    pub cure_of: Option<&'static str>,
    /// A baseline's description; none of a strategy.
    pub baseline: Option<&'static str>,
    /// The time that its data took to seed, if that was done here.
    pub seeded: Option<Duration>,
    /// Its data, or why it cannot be audited.
    data: Result<Data, String>,
    strategy: Option<Arc<dyn ShardingStrategy>>,
    /// Its servers, if it is on any that are known here.
    site: Option<Arc<SharedServers>>,
    /// The namespace that was made for it on servers.
    namespace: Option<String>,
    // Dropped in this order: a folder goes only after the processes that use it.
    processes: Vec<ServiceProcess>,
    /// The means to start one more, if it was started here.
    started: Option<StartedHere>,
}

/// The command line of a contestant that was started here, and the folder of its logs.
#[derive(Debug)]
struct StartedHere {
    command: ServiceCommand,
    folder: Folder,
}

impl Deployment {
    /// Seeds data of its own and starts the service on it.
    ///
    /// # Errors
    /// When the data cannot be seeded or the service does not start.
    pub fn start(spec: &Spec, setup: &Setup) -> Result<Self> {
        let started = Self::start_inner(spec, setup);
        if let (Err(_), Some(site), Ok(strategy)) = (&started, &setup.site, spec.strategy()) {
            // The error is the one of the start; a failure to remove the data would hide it.
            let _ = site.clear(&namespace(&spec.name), &*strategy);
        }
        started.with_context(|| format!("contestant {}", spec.name))
    }

    fn start_inner(spec: &Spec, setup: &Setup) -> Result<Self> {
        let program = program(&spec.program)?;
        let folder = Folder::make(setup.keep.as_deref(), &spec.name)?;
        let began = Instant::now();
        let prepared = match &setup.site {
            None => Prepared::in_folder(spec, &setup.seed, folder.path().join("data"))?,
            Some(site) => Prepared::on_servers(spec, &setup.seed, site, namespace(&spec.name))?,
        };
        let seeded = began.elapsed();
        let mut command = prepared.lead(ServiceCommand::new(program));
        if !setup.shard_rtt.is_zero() {
            command =
                command.setting(format!("simulate.shard_rtt_ms={}", setup.shard_rtt.as_secs_f64() * 1e3));
        }
        let start = |number| ServiceProcess::start(command.clone(), folder.path().join(log_of(number)));
        let processes = (1..=setup.processes.get()).map(start).collect::<Result<Vec<_>>>()?;
        let target = target_of(&spec.name, &processes)?;
        let stats: AdminStats = get_json(&target, "/admin/stats")?;
        let Prepared { data, strategy, namespace, .. } = prepared;
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
            baseline: spec.baseline.map(|baseline| baseline.about),
            seeded: Some(seeded),
            data: Ok(data),
            strategy: Some(strategy),
            site: setup.site.clone(),
            namespace,
            processes,
            started: Some(StartedHere { command, folder }),
        })
    }

    /// Takes a service that runs already. It can be audited when its data folder is on this machine, or when the
    /// servers are known that it stores on.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn attach(target: Target, site: Option<Arc<SharedServers>>) -> Result<Self> {
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
            baseline: None,
            seeded: None,
            site,
            namespace: None,
            processes: Vec::new(),
            started: None,
        })
    }

    /// The servers that it stores on, if it is on any that are known here.
    #[must_use]
    pub fn site(&self) -> Option<&SharedServers> {
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
    pub fn one_more(&self, settings: &[&str]) -> Result<ServiceProcess> {
        let StartedHere { command, folder } = self.started.as_ref().context("it was not started here")?;
        let command = settings.iter().fold(command.clone(), |command, setting| command.setting(*setting));
        ServiceProcess::start(command, folder.path().join("service-beside.log"))
    }

    /// Waits until everything handed over is stored and main knows of it, for as long as rows are stored; returns the
    /// time that took.
    ///
    /// # Errors
    /// When it does not drain.
    pub fn drain(&self) -> Result<Duration> {
        settle::drain(self.data.as_ref().ok(), &|| Ok(self.target.clone()), Patience::WhileRowsAreStored)
    }

    /// The number of results of each shard, as the shards count themselves; nothing on files.
    ///
    /// # Errors
    /// When a shard cannot be asked.
    pub fn kept_counts(&self) -> Result<Option<Vec<u64>>> {
        self.data.as_ref().map_or(Ok(None), Data::kept_counts)
    }

    /// Checks that it can be audited.
    ///
    /// # Errors
    /// The reason why it cannot.
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

    /// Records its data as it is now, to be held against what a run makes of it; nothing when it cannot be audited.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn remember(&self) -> Result<Option<StartState>> {
        self.data.as_ref().ok().map(Data::remember).transpose()
    }

    /// Waits until everything handed over is stored, and holds it against what was answered, now too.
    ///
    /// # Errors
    /// When it does not drain, or its data cannot be read. A violation is no error.
    pub fn audit(&self, scope: &Scope<'_>) -> Result<AuditReport> {
        let data = self.data.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        settle::settle(data, &|| Ok(self.target.clone()), Patience::WhileRowsAreStored)?;
        settle::audit(data, &self.target, scope)
    }

    /// The end of its log, to go with an error.
    #[must_use]
    pub fn log(&self) -> String {
        self.processes.iter().map(ServiceProcess::log_tail).collect()
    }

    /// Stops its processes and starts them again on the same data. Returns the time from there until each of them was
    /// ready (`/readyz`).
    ///
    /// # Errors
    /// When it was not started here, does not stop by itself, or is not ready in time.
    pub fn restart(&self) -> Result<Duration> {
        ensure!(self.started.is_some(), "it was not started here");
        self.processes.iter().try_for_each(ServiceProcess::stop)?;
        let began = Instant::now();
        self.processes.iter().try_for_each(ServiceProcess::start_again)?;
        wait_until_ready(&self.processes)?;
        Ok(began.elapsed())
    }

    /// Stops it, if it was started here, and removes what was made for it on servers.
    ///
    /// # Errors
    /// When it did not stop by itself, or something could not be removed.
    pub fn stop(self) -> Result<()> {
        let Self { name, processes, site, namespace, strategy, started: _started, .. } = self;
        let stopped = processes.iter().map(ServiceProcess::stop).collect::<Vec<_>>();
        let cleared = match (site, namespace, strategy) {
            (Some(site), Some(namespace), Some(strategy)) => site.clear(&namespace, &*strategy),
            _ => Ok(()),
        };
        let ended: Result<()> = stopped.into_iter().chain([cleared]).collect();
        ended.with_context(|| format!("contestant {name}"))
    }
}

/// The file that a contestant's process of that number logs to: only a second one needs the number.
fn log_of(number: usize) -> String {
    if number == 1 { "service.log".to_owned() } else { format!("service-{number}.log") }
}

/// The way to say where servers are.
const WHERE: &str = "say where they are with --config FILE, the file of settings that the service has";

/// The data of a service that runs already, when it is the data that the service means.
fn its_data(stats: &AdminStats, site: Option<&SharedServers>) -> Result<Data, String> {
    let data = match (&stats.data, &stats.namespace, site) {
        (Some(folder), ..) => Data::Folder(PathBuf::from(folder)),
        (None, Some(namespace), Some(site)) => {
            site.data(namespace).map_err(|error| format!("its data is on servers: {error:#}; {WHERE}"))?
        }
        (None, Some(_), None) => {
            return Err(format!("its data is on servers: setting `servers.main` is missing; {WHERE}"));
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
