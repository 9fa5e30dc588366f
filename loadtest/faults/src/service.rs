//! One of the services that are broken: its processes, its data, and how each process is broken from within.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coupon_audit::Data;
use coupon_core::{ShardId, ShardingStrategy};
use coupon_lab::Service;
use coupon_loadgen::http::Target;
use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

/// How long a process may take to do what it is told by a file.
const REACHED: Duration = Duration::from_secs(20);

/// A service: some processes on one data set.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) namespace: String,
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    pub(super) data: Data,
    pub(super) processes: Vec<Process>,
    /// The first process that the load goes to.
    pub(super) load_on: usize,
}

impl Subject {
    /// Where the load goes: to all processes from that one on.
    pub(super) fn target(&self, from: usize) -> Result<Target> {
        let processes = self.processes.iter().skip(from);
        let mut addresses = processes.map(|process| process.front.unwrap_or(process.address));
        let first = addresses.next().context("it has no process")?;
        Ok(Target { more: addresses.collect(), ..Target::new(self.name, first) })
    }

    /// A process of it that answers, for single questions: one under load, if it can be. Another may be there to be frozen, and
    /// whoever spends a result there would leave its shard locked for as long.
    pub(super) fn one(&self) -> Result<Target> {
        let mut in_order = self.processes.iter().skip(self.load_on).chain(&self.processes);
        let up = in_order.find(|process| process.is_running() && !process.is_paused());
        up.map(|process| Target::new(self.name, process.address)).context("none of its processes runs")
    }

    /// What a queue of its is called.
    pub(super) fn names(&self) -> Result<coupon_store::servers::names::Names> {
        let namespace = coupon_store::servers::names::Namespace::new(&self.namespace, "")?;
        Ok(namespace.dataset(&self.data.label()?.dataset))
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.strategy.shard_count().get()).map(ShardId::new)
    }
}

/// One process of a service.
#[derive(Debug)]
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Files in here break it from within.
    switches: PathBuf,
    log: PathBuf,
    pub(super) address: SocketAddr,
    /// Where clients reach it, if not there.
    pub(super) front: Option<SocketAddr>,
    service: Mutex<Option<Service>>,
    starts: AtomicU32,
}

impl Process {
    /// Starts one. `folder` is for its switches, `log` what its logs are called.
    pub(super) fn start(
        program: &Path,
        arguments: Vec<String>,
        mut environment: Vec<(&'static str, String)>,
        switches: PathBuf,
        log: PathBuf,
    ) -> Result<Self> {
        environment.push(("COUPON_FAILPOINTS", switches.display().to_string()));
        let mut process = Self {
            program: program.to_owned(),
            arguments,
            environment,
            switches,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            front: None,
            service: Mutex::new(None),
            starts: AtomicU32::new(0),
        };
        process.start_again()?;
        let url = process.service().as_ref().map(|service| service.url().to_owned()).unwrap_or_default();
        process.address = Target::from_url("service", &url)?.addr;
        Ok(process)
    }

    fn service(&self) -> MutexGuard<'_, Option<Service>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it again where it listened before.
    pub(super) fn start_again(&self) -> Result<()> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.log_of(number);
        let mut arguments = self.arguments.clone();
        arguments.extend(["--listen".to_owned(), self.address.to_string()]);
        let mut service = self.service();
        *service = None;
        *service = Some(Service::start_in(&self.program, &arguments, &self.environment, log)?);
        Ok(())
    }

    /// The first line in which it has logged that, since it was started last.
    pub(super) fn said(&self, text: &str) -> Result<Option<String>> {
        let log = self.log_of(self.starts.load(Ordering::Relaxed));
        let logged = std::fs::read(&log).with_context(|| log.display().to_string())?;
        let logged = String::from_utf8_lossy(&logged);
        Ok(logged.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    /// Where it logs, or has logged, when it was started for the so-many-th time.
    fn log_of(&self, start: u32) -> PathBuf {
        self.log.with_extension(format!("{start}.log"))
    }

    /// Its process id, if it was started.
    pub(super) fn pid(&self) -> Option<u32> {
        self.service().as_ref().map(Service::pid)
    }

    pub(super) fn is_running(&self) -> bool {
        self.service().as_mut().is_some_and(Service::is_running)
    }

    /// Whether it is frozen.
    pub(super) fn is_paused(&self) -> bool {
        let Some(pid) = self.service().as_ref().map(Service::pid) else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// `kill -9`.
    pub(super) fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        until("a killed process ends", REACHED, || Ok(!self.is_running()))
    }

    /// Freezes it.
    pub(super) fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        until("a process freezes", REACHED, || Ok(self.is_paused()))
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.service().as_ref().map(Service::pid).context("it does not run")?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Tells it something by a file; it reads the file before it goes on.
    pub(super) fn tell(&self, name: &str, what: &str) -> Result<()> {
        // Never half-written where it is looked for.
        let draft = self.switches.join(format!(".{name}"));
        std::fs::write(&draft, what)?;
        std::fs::rename(draft, self.switches.join(name)).with_context(|| format!("switch {name}"))
    }

    /// Whether it has not come by yet; takes the file back if so.
    pub(super) fn take_back(&self, name: &str) -> bool {
        std::fs::remove_file(self.switches.join(name)).is_ok()
    }

    /// Waits until it has found the file.
    pub(super) fn has_found(&self, name: &str) -> Result<()> {
        let path = self.switches.join(name);
        until(&format!("a process comes by {name}"), REACHED, || Ok(!path.exists()))
    }

    /// Lets it end in good order.
    pub(super) fn stop(&self) -> Result<()> {
        let Some(service) = self.service().take() else { return Ok(()) };
        ensure!(!self.is_paused(), "it is frozen");
        service.stop()
    }
}
