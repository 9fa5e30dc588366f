//! One server: started until it answers, faulted, measured, stopped.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::files::{length, make_dir, password, read_from, tail};
use crate::guardian::Guardian;
use crate::kind::{Place, ServerKind, port_was_taken};
use crate::mysql::Answer;
use crate::process::{Identity, POLL, Process, Usage};
use crate::programs::{MySql, Programs};
use crate::record::{Part, ServerRecord};
use crate::tls::Tls;
use crate::topology::Topology;
use crate::{cgroup, mysql, ports};

/// The time that a server may take until it answers.
const START: Duration = Duration::from_secs(120);
/// The time that a server may take to stop when asked to, before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// The number of times that other ports are tried, when others are faster to take them.
const MOVES: usize = 5;

/// The stack's part in the start of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) guardian: Option<&'a Guardian>,
    /// The port of Erlang's port mapper.
    pub(crate) epmd: u16,
    pub(crate) topology: Topology,
    /// The port of the Redis that is the primary at first.
    pub(crate) redis: u16,
    /// All servers of the stack.
    pub(crate) peers: &'a [Node],
}

#[derive(Debug)]
pub(crate) struct Node {
    kind: ServerKind,
    name: String,
    dir: PathBuf,
    data: PathBuf,
    password: String,
    /// The certificates that it encrypts connections with, if it does.
    tls: Option<Tls>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ports: Vec<u16>,
    process: Option<Process>,
    group: Option<PathBuf>,
    part: Part,
}

impl State {
    fn running(&mut self) -> Option<&mut Process> {
        if !self.process.as_mut()?.runs() {
            self.process = None;
        }
        self.process.as_mut()
    }
}

impl Node {
    /// One whose folder is new.
    pub(crate) fn new(kind: ServerKind, name: String, stack: &Path) -> Result<Self> {
        Self::recorded(kind, name, stack, ServerRecord { password: password()?, ..ServerRecord::default() })
    }

    /// One whose folder is new, with the same password as another.
    pub(crate) fn like(other: &Self, kind: ServerKind, name: String, stack: &Path) -> Result<Self> {
        let record = ServerRecord { password: other.password.clone(), ..ServerRecord::default() };
        Self::recorded(kind, name, stack, record)
    }

    /// One whose folder is new: the replica of another, with the same password.
    pub(crate) fn replica_of(other: &Self, name: String, stack: &Path) -> Result<Self> {
        let replica = Self::like(other, other.kind, name, stack)?;
        replica.takes_part(Part::Replica);
        Ok(replica)
    }

    /// One that has been here before, and may be running.
    pub(crate) fn recorded(
        kind: ServerKind,
        name: String,
        stack: &Path,
        record: ServerRecord,
    ) -> Result<Self> {
        let dir = stack.join(&name);
        let data = dir.join("data");
        make_dir(&dir)?;
        let ServerRecord { ports, password, process, group, part } = record;
        let state = Mutex::new(State { ports, process: process.and_then(Process::adopt), group, part });
        Ok(Self { kind, name, dir, data, password, tls: Tls::of(stack), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> ServerKind {
        self.kind
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    pub(crate) fn record(&self) -> ServerRecord {
        let mut state = self.state();
        let process = state.running().map(|process| process.identity);
        let (ports, group, part) = (state.ports.clone(), state.group.clone(), state.part);
        ServerRecord { ports, password: self.password.clone(), process, group, part }
    }

    /// Its part in a pair.
    pub(crate) fn part(&self) -> Part {
        self.state().part
    }

    /// Gives it another part, from its next start on.
    pub(crate) fn takes_part(&self, part: Part) {
        self.state().part = part;
    }

    /// The port that others connect to; 0 before it was ever started.
    pub(crate) fn port(&self) -> u16 {
        self.state().ports.first().copied().unwrap_or_default()
    }

    pub(crate) fn url(&self) -> String {
        self.kind.url(self.port(), &self.password, self.tls.is_some())
    }

    /// Runs statements on a database server as the user who may do anything there, and returns what the last one answers.
    pub(crate) fn run(&self, mysql: &MySql, sql: &str) -> Result<Answer> {
        mysql::run(mysql, self.port(), &self.password, sql).with_context(|| self.name.clone())
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.state().running().map(|process| process.identity)
    }

    /// Starts it wherever it finds room: on the ports it had, if they are free, or on others.
    pub(crate) fn start(&self, world: World<'_>) -> Result<()> {
        let mut state = self.state();
        let usable =
            state.ports.len() == self.kind.ports() && state.ports.iter().all(|port| ports::is_free(*port));
        if !usable {
            state.ports = ports::free(self.kind.ports())?;
        }
        for _ in 0..MOVES {
            let log = length(&self.log());
            match self.start_here(&mut state, world, true) {
                Err(_) if port_was_taken(&read_from(&self.log(), log)) => {
                    state.ports = ports::free(self.kind.ports())?;
                }
                done => return done,
            }
        }
        bail!("{}: {MOVES} times another was faster to take its port", self.name);
    }

    /// Starts it again, on the same ports.
    pub(crate) fn restart(&self, world: World<'_>) -> Result<()> {
        let mut state = self.state();
        if let Some(process) = state.running() {
            process.stop(STOP).with_context(|| self.name.clone())?;
        }
        self.start_here(&mut state, world, false)
    }

    /// Starts it again if it does not run.
    pub(crate) fn ensure_running(&self, world: World<'_>) -> Result<()> {
        let mut state = self.state();
        if state.running().is_some() { Ok(()) } else { self.start_here(&mut state, world, false) }
    }

    fn start_here(&self, state: &mut State, world: World<'_>, begins: bool) -> Result<()> {
        if !matches!(self.kind, ServerKind::MySql { .. }) {
            make_dir(&self.data)?;
        }
        let log = self.log();
        let before = length(&log);
        let World { programs, guardian, epmd, topology, redis, peers } = world;
        let Topology { replicas, rabbitmq, .. } = topology;
        let part = replicas.then_some(state.part);
        let (name, dir, ports, tls) = (&*self.name, &*self.dir, &*state.ports, self.tls.as_ref());
        let place = Place { name, dir, ports, epmd, part, rabbitmq, redis, tls, log: &log, begins, peers };
        let launch = self.kind.launch(programs, place, &self.password)?;
        let group = state.group.clone();
        let process = Process::start(&launch, |identity| {
            guardian.map_or(Ok(()), |guardian| guardian.watch(identity))?;
            group.map_or(Ok(()), |group| cgroup::enter(&group, identity.pid)).map_err(anyhow::Error::msg)
        });
        let process = state.process.insert(process.with_context(|| format!("{} did not start", self.name))?);
        let port = state.ports.first().copied().unwrap_or_default();
        if let Err(error) = self.wait_until_it_answers(process, port) {
            process.kill()?;
            state.process = None;
            bail!("{} did not start: {error:#}{}", self.name, tail(&read_from(&log, before)));
        }
        Ok(())
    }

    fn wait_until_it_answers(&self, process: &mut Process, port: u16) -> Result<()> {
        let end = Instant::now() + START;
        loop {
            ensure!(process.runs(), "it ended");
            // A process that has just ended has no files to look at.
            let answer = match ports::listens(process.identity.pid, port) {
                Ok(true) => self.kind.answers(port, &self.password, self.tls.is_some()),
                Ok(false) | Err(_) => Err(anyhow::anyhow!("it does not listen on port {port}")),
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= end => {
                    return Err(error.context(format!("it did not answer within {} s", START.as_secs())));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    /// Waits until it has from the other servers what it needs.
    pub(crate) fn wait_until_it_is_in_place(&self) -> Result<()> {
        let end = Instant::now() + START;
        while let Err(error) = self.kind.is_in_place(self.port(), &self.password) {
            ensure!(Instant::now() < end, "{}: {error:#}, after {} s", self.name, START.as_secs());
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Does something to its process.
    fn with_process<T>(&self, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let process = state.running().with_context(|| format!("{} does not run", self.name))?;
        act(process).with_context(|| self.name.clone())
    }

    pub(crate) fn freeze(&self, freeze: bool) -> Result<()> {
        self.with_process(|process| process.identity.freeze(freeze))
    }

    pub(crate) fn kill(&self) -> Result<()> {
        self.with_process(Process::kill)
    }

    pub(crate) fn stop(&self) -> Result<()> {
        self.with_process(|process| process.stop(STOP))
    }

    /// Stops it if it runs, or makes it end.
    pub(crate) fn end_if_up(&self) -> Result<()> {
        if self.identity().is_none() {
            return Ok(());
        }
        self.stop().or_else(|error| if self.identity().is_some() { Err(error) } else { Ok(()) })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        self.with_process(|process| process.identity.usage())
    }

    /// Asks it to end if it runs, or makes it, without waiting: the others are to end at the same time.
    pub(crate) fn begin_end(&self, gently: bool) -> Result<()> {
        let mut state = self.state();
        let Some(process) = state.running() else { return Ok(()) };
        let asked = if gently { process.ask_to_end() } else { process.identity.tell(Signal::KILL) };
        asked.with_context(|| self.name.clone())
    }

    /// Waits until it has ended, or makes it end, and removes its control group.
    pub(crate) fn finish_end(&self) -> Result<()> {
        let mut state = self.state();
        let ended = state.running().map_or(Ok(()), |process| process.stop(STOP));
        let removed = state.group.take().map_or(Ok(()), |group| cgroup::remove(&group));
        ended.with_context(|| self.name.clone())?;
        removed.with_context(|| format!("{}: cannot remove its control group", self.name))
    }

    /// Limits its CPU from now on.
    pub(crate) fn limit_cpu(&self, cores: f64, guardian: Option<&Guardian>) -> Result<(), String> {
        if !cores.is_finite() || cores <= 0.0 {
            return Err(format!("a CPU quota of {cores} cores is none: give a number above 0"));
        }
        let mut state = self.state();
        let pid = state.running().map(|process| process.identity.pid);
        let group = match &state.group {
            Some(group) => group.clone(),
            None => {
                let started = Identity::of(std::process::id()).map_err(|error| format!("{error:#}"))?.started;
                // The name is used once: by this process, for this port.
                let port = state.ports.first().copied().unwrap_or_default();
                let name = format!("coupon-stack-{}-{started}-{}-{port}", std::process::id(), self.name);
                let group = cgroup::make(&name)?;
                if let Some(guardian) = guardian {
                    guardian.watch_group(&group).map_err(|error| format!("{error:#}"))?;
                }
                state.group = Some(group.clone());
                group
            }
        };
        cgroup::limit(&group, cores)?;
        pid.map_or(Ok(()), |pid| cgroup::enter(&group, pid))
    }
}
