//! A process of a service that can be ended, in whatever manner, and started again where it listened.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coupon_loadgen::http::{Target, get_ok};
use rustix::process::{Pid, Signal, kill_process};

use super::child::ServiceChild;
use super::wait::{until, until_every};

/// The time that a process may take to be killed or frozen.
const OBEYS: Duration = Duration::from_secs(20);
/// The time that a service which listens may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// The interval at which a process is asked whether it is ready: its time to start is measured too long by this much, at
/// most.
const ASK: Duration = Duration::from_millis(5);
/// Any free port of this machine's own.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The command line and the environment that a service is started with, but for the address.
#[derive(Debug, Clone)]
pub struct ServiceCommand {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl ServiceCommand {
    /// A program without arguments.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        Self { program, arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, more: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// Adds a setting, such as `grab.batch_max=1`; the last of a name counts.
    #[must_use]
    pub fn setting(self, setting: impl Into<String>) -> Self {
        self.arguments(["--set".to_owned(), setting.into()])
    }

    /// Adds variables of the environment.
    #[must_use]
    pub fn environment(mut self, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.environment.extend(more);
        self
    }

    fn start_at(&self, address: SocketAddr, log: PathBuf) -> Result<ServiceChild> {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--listen".to_owned(), address.to_string()]);
        ServiceChild::start(&self.program, &arguments, &self.environment, log)
    }
}

/// A process of a service. It keeps its address over any number of lives, and ends when it is dropped.
#[derive(Debug)]
pub struct ServiceProcess {
    command: ServiceCommand,
    log: PathBuf,
    address: SocketAddr,
    child: Mutex<Option<ServiceChild>>,
    starts: AtomicU32,
}

impl ServiceProcess {
    /// Starts one on any free port. Its first life is logged to `log`; the number of a later one goes before the
    /// extension.
    ///
    /// # Errors
    /// When it does not start; the error quotes the end of the log.
    pub fn start(command: ServiceCommand, log: PathBuf) -> Result<Self> {
        let child = command.start_at(ANYWHERE, log.clone())?;
        let address = Target::from_url("service", child.url())?.addr;
        Ok(Self { command, log, address, child: Mutex::new(Some(child)), starts: AtomicU32::new(1) })
    }

    /// Starts it again where it listened before. What is left of it is ended first.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&self) -> Result<()> {
        let mut child = self.child();
        *child = None;
        self.starts.fetch_add(1, Ordering::Relaxed);
        *child = Some(self.command.start_at(self.address, self.log())?);
        Ok(())
    }

    /// The address at which it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process as a target of requests.
    #[must_use]
    pub fn target(&self, name: &str) -> Target {
        Target::new(name, self.address)
    }

    fn child(&self) -> MutexGuard<'_, Option<ServiceChild>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log of its present life, or of the last one.
    fn log(&self) -> PathBuf {
        match self.starts.load(Ordering::Relaxed) {
            1 => self.log.clone(),
            number => self.log.with_extension(format!("{number}.log")),
        }
    }

    /// The first line in which it has logged `text` since it was started last.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn logged(&self, text: &str) -> Result<Option<String>> {
        let log = std::fs::read_to_string(self.log())?;
        Ok(log.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    /// The end of its log, to go with an error; empty when it does not run, or logged nothing.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.child().as_ref().map(ServiceChild::log_tail).unwrap_or_default()
    }

    /// Its process id, if it was started and not stopped since.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(ServiceChild::pid)
    }

    /// Says whether it runs, frozen or not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(ServiceChild::is_running)
    }

    /// Says whether it is frozen.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Kills it (`kill -9`), and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        until("a killed process ends", OBEYS, || Ok(!self.is_running()))
    }

    /// Freezes it.
    ///
    /// # Errors
    /// When it does not run, or does not freeze.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        until("a process freezes", OBEYS, || Ok(self.is_paused()))
    }

    /// Lets it go on after it was frozen.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("it does not run")?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Lets it end in good order; nothing if it was stopped already.
    ///
    /// # Errors
    /// When it is frozen, was killed, or does not end by itself.
    pub fn stop(&self) -> Result<()> {
        ensure!(!self.is_paused(), "it is frozen");
        self.child().take().map_or(Ok(()), ServiceChild::stop)
    }
}

/// The first of several processes as a target of requests, with the others behind it.
///
/// # Errors
/// When there is none.
pub(super) fn target_of(name: &str, processes: &[ServiceProcess]) -> Result<Target> {
    let (first, rest) = processes.split_first().context("it has no process")?;
    Ok(Target { more: rest.iter().map(ServiceProcess::address).collect(), ..first.target(name) })
}

/// Waits until every process says that it is ready.
pub(super) fn wait_until_ready(processes: &[ServiceProcess]) -> Result<()> {
    processes.iter().try_for_each(|process| {
        let target = process.target("service");
        let mut refusal = None;
        let ready = until_every(ASK, "a process is ready", READY, || {
            refusal = get_ok(&target, "/readyz").err();
            Ok(refusal.is_none())
        });
        ready.map_err(|waited| refusal.unwrap_or_else(|| anyhow::anyhow!("it said nothing")).context(waited))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that listens nowhere, says otherwise, and ends when it is asked to.
    fn shell(log: PathBuf) -> ServiceProcess {
        let script = "trap 'exit 0' TERM; echo started >&2; echo listening on http://127.0.0.1:9; \
                      while :; do sleep 0.02; done";
        let command = ServiceCommand::new("/bin/sh".into()).arguments(["-c", script, "shell"]);
        ServiceProcess::start(command, log).unwrap()
    }

    #[test]
    fn a_process_that_was_killed_is_started_again_with_a_log_of_that_life() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path().join("service.log"));
        let first = process.pid();
        assert!(process.is_running() && process.logged("started").unwrap().is_some());
        process.kill().unwrap();
        assert!(!process.is_running());
        process.start_again().unwrap();
        assert!(process.is_running() && process.pid() != first);
        assert!(folder.path().join("service.2.log").is_file());
        process.stop().unwrap();
        assert_eq!((process.pid(), process.is_running()), (None, false));
    }

    #[test]
    fn a_frozen_process_is_not_stopped_and_one_that_goes_on_is() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path().join("log"));
        process.pause().unwrap();
        assert!(process.is_paused() && process.is_running());
        assert!(process.stop().unwrap_err().to_string().contains("frozen"));
        process.resume().unwrap();
        until("it goes on", OBEYS, || Ok(!process.is_paused())).unwrap();
        process.stop().unwrap();
    }
}
