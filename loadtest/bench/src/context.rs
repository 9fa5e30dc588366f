//! State that the sections share: the time to measure, the servers, and data sets that take long to make.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coupon_cli::terminal;
use coupon_lab::{Deployment, Setup, SharedServers};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
/// The shards of every service that is measured, unless a section is about their number.
pub const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
/// The most gates of a service that is measured; the others have one.
pub const GATES: NonZeroU16 = NonZeroU16::new(4).unwrap();
/// Results in the data sets of [`Context::history`].
pub const HISTORY: u64 = 1_000_000;

/// The storage of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// In its own files.
    Embedded,
    /// On MySQL, Redis and RabbitMQ.
    Servers,
}

impl Store {
    /// The name in settings and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Servers => "servers",
        }
    }
}

/// State that the sections share.
#[derive(Debug)]
pub struct Context {
    /// True when a few minutes must do.
    pub quick: bool,
    /// The seed of all random choices.
    pub seed: u64,
    section: &'static str,
    site: Option<Arc<SharedServers>>,
    history: BTreeMap<(Store, String), Deployment>,
}

impl Context {
    /// One with these servers, if any of the sections needs some.
    #[must_use]
    pub const fn new(quick: bool, seed: u64, site: Option<Arc<SharedServers>>) -> Self {
        Self { quick, seed, section: "", site, history: BTreeMap::new() }
    }

    /// Rounds of each kind: an odd number, so that a median is a round's.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        if self.quick { 3 } else { 5 }
    }

    /// The time for which a round sends requests.
    #[must_use]
    pub const fn round(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 3 })
    }

    /// The servers, with one gate.
    ///
    /// # Errors
    /// When the section did not say that it needs some.
    pub fn site(&self) -> Result<Arc<SharedServers>> {
        self.site_with(1)
    }

    /// The servers, with so many gates.
    ///
    /// # Errors
    /// As [`Self::site`].
    pub fn site_with(&self, gates: usize) -> Result<Arc<SharedServers>> {
        let site = self.site.as_ref().context("this section did not ask for servers")?;
        Ok(Arc::new(site.with_gates(gates)))
    }

    /// The servers' versions, by name.
    #[must_use]
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        self.site.as_ref().map(|site| site.versions()).unwrap_or_default()
    }

    /// Says what is going on, on the progress line.
    pub fn progress(&self, what: impl AsRef<str>) {
        terminal::progress(format!("{}: {}", self.section, what.as_ref()));
    }

    /// Begins a section: what is said on the progress line is of this one from now on.
    pub const fn enter(&mut self, section: &'static str) {
        self.section = section;
    }

    /// Seeds a service and starts it; the caller stops it.
    ///
    /// # Errors
    /// When its data cannot be seeded or it does not start.
    pub fn start(&self, spec: &Spec, store: Store, seed: SeedOptions) -> Result<Deployment> {
        let site = (store == Store::Servers).then(|| self.site()).transpose()?;
        self.start_on(spec, site, seed, NonZeroUsize::MIN)
    }

    /// The same on these servers; without any, on files. More than one process only on servers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        &self,
        spec: &Spec,
        site: Option<Arc<SharedServers>>,
        seed: SeedOptions,
        processes: NonZeroUsize,
    ) -> Result<Deployment> {
        let store = if site.is_some() { Store::Servers } else { Store::Embedded };
        self.progress(format!("seeding and starting {} ({})", spec.name, store.name()));
        Deployment::start(spec, &Setup { site, processes, ..Setup::embedded(seed) })
    }

    /// A service on [`HISTORY`] stored results (and the default catalogue), by the name it has in `loadtest compare`.
    /// Made once, and kept up until the end of the benchmark: sections only read, so that others find what is said
    /// here.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn history(&mut self, name: &str, store: Store) -> Result<&mut Deployment> {
        let key = (store, name.to_owned());
        if !self.history.contains_key(&key) {
            let mut spec = Spec::parse(name, SHARDS, &CatalogueSpec::default())?;
            // Another service of this name, seeded by a section, has another namespace.
            spec.name = format!("history {name}");
            let seed = SeedOptions { history: HISTORY, seed: self.seed, ..SeedOptions::default() };
            let running = self.start(&spec, store, seed)?;
            self.history.insert(key.clone(), running);
        }
        self.history.get_mut(&key).context("it was just made")
    }

    /// Stops what sections have shared.
    ///
    /// # Errors
    /// The first that did not stop by itself.
    pub fn finish(self) -> Result<()> {
        let stopped: Vec<_> = self.history.into_values().map(Deployment::stop).collect();
        stopped.into_iter().collect()
    }
}
