//! A contestant that is up: started here on data of its own, or found running.

use std::fmt::Display;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coupon_core::ShardingStrategy;
use coupon_service::api::{AdminStats, Drained};
use seeder::SeedOptions;
use tempfile::TempDir;

use super::process::program;
use super::{Service, Spec, interrupt, strategy_of_layout};
use crate::audit::{AuditReport, Claims, Scope, audit, label, newest_result};
use crate::http::{Target, get_json, post_json};

/// What all contestants that are started here have in common.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What each is seeded with: the same rows for all.
    pub seed: SeedOptions,
    /// Where their folders are kept; without it they are temporary.
    pub keep: Option<PathBuf>,
    /// Added before every call to a shard, to stand for a network.
    pub shard_rtt: Duration,
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
    data: Result<PathBuf, String>,
    strategy: Option<Arc<dyn ShardingStrategy>>,
    // Dropped in this order: a folder goes only after the service that uses it.
    service: Option<Service>,
    _folder: Option<Folder>,
}

impl Running {
    /// Seeds a folder and starts the service on it.
    ///
    /// # Errors
    /// When the folder cannot be seeded or the service does not start.
    pub fn start(spec: &Spec, setup: &Setup) -> Result<Self> {
        Self::start_inner(spec, setup).with_context(|| format!("contestant {}", spec.name))
    }

    fn start_inner(spec: &Spec, setup: &Setup) -> Result<Self> {
        let program = program(&spec.program)?;
        let folder = Folder::make(setup.keep.as_deref(), &spec.name)?;
        let (data, log) = (folder.path().join("data"), folder.path().join("service.log"));
        let strategy = spec.strategy()?;
        let started = Instant::now();
        seeder::seed(&data, &*strategy, &setup.seed, false, &mut seeder::Silent)?;
        let seeded = started.elapsed();
        let service = Service::start(&program, &arguments(spec, setup, &data), log)?;
        let target = Target::from_url(spec.name.as_str(), service.url())?;
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
            service: Some(service),
            _folder: Some(folder),
        })
    }

    /// Takes a service that runs already. It can be audited when its data folder is on this machine.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn attach(target: Target) -> Result<Self> {
        let stats: AdminStats =
            get_json(&target, "/admin/stats").with_context(|| format!("--target {}", target.url("")))?;
        let shards = NonZeroU16::new(stats.shards).unwrap_or(NonZeroU16::MIN);
        Ok(Self {
            name: target.name.clone(),
            data: local_data(&stats),
            strategy: strategy_of_layout(&stats.layout, shards),
            target,
            stats,
            cure_of: None,
            seeded: None,
            service: None,
            _folder: None,
        })
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
        Ok(newest_result(data)?.unwrap_or(0))
    }

    /// Waits until everything handed over is stored, and holds it against what was answered.
    ///
    /// # Errors
    /// When it does not drain, or its data cannot be read. A violation is no error.
    pub fn audit(&self, claims: Option<&Claims>, since: Option<i64>) -> Result<AuditReport> {
        let data = self.data.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let _: Drained = post_json(&self.target, "/admin/drain", &serde_json::json!({}))?;
        audit(data, &Scope { claims, since, strategy: self.strategy.as_deref(), drained: true })
    }

    /// The end of its log, to go with an error.
    #[must_use]
    pub fn log(&self) -> String {
        self.service.as_ref().map(Service::log_tail).unwrap_or_default()
    }

    /// Stops it, if it was started here.
    ///
    /// # Errors
    /// When it did not stop by itself.
    pub fn stop(self) -> Result<()> {
        let Self { name, service, _folder, .. } = self;
        service.map_or(Ok(()), Service::stop).with_context(|| format!("contestant {name}"))
    }
}

fn arguments(spec: &Spec, setup: &Setup, data: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = ["--listen", "127.0.0.1:0", "--data"].map(str::to_owned).into();
    arguments.push(data.to_string_lossy().into_owned());
    arguments.extend(["--shards".to_owned(), spec.shards.to_string()]);
    let mut set = |setting: String| arguments.extend(["--set".to_owned(), setting]);
    spec.settings.iter().cloned().for_each(&mut set);
    if !setup.shard_rtt.is_zero() {
        set(format!("simulate.shard_rtt_ms={}", setup.shard_rtt.as_secs_f64() * 1e3));
    }
    arguments
}

/// The data folder of a service, when it is the one on this machine that the service means.
fn local_data(stats: &AdminStats) -> Result<PathBuf, String> {
    let Some(path) = stats.data.as_ref().map(PathBuf::from) else {
        return Err(format!("its data is no folder: the backend is {}", stats.backend));
    };
    let elsewhere = |why: &dyn Display| format!("{} cannot be read here: {why}", path.display());
    match label(&path) {
        Ok(label) if label.dataset == stats.dataset => Ok(path),
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
        interrupt::register_folder(folder.path().to_owned());
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
