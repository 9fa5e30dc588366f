//! A stack: all servers together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coupon_core::KeyRange;
use tempfile::TempDir;

use crate::engine::{self, Control, Tablet, Tablets};
use crate::fault_tools::{self, SpareRedis};
use crate::files::write_private;
use crate::guardian::Guardian;
use crate::home::{Home, check, lock, tablets};
use crate::kind::ServerKind;
use crate::node::{Node, World};
use crate::process::Usage;
use crate::programs::{self, EnginePrograms, Programs};
use crate::record::{self, Record};
use crate::tls::{self, Tls};
use crate::{Addresses, Certificates, Server, install, mysql};

/// The time that another command may take that has the same stack in hand.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a stack.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The number of shards, each a database server. 4 by default.
    pub shards: NonZeroU16,
    /// The folder of its files. Without it they are temporary, and go with the stack.
    pub dir: Option<PathBuf>,
    /// The number of shards of an engine (Vitess) over these: 1, 2, 4, 8 or so on. None by default; a folder keeps the
    /// one that it has.
    pub engine: Option<NonZeroU16>,
}

impl Default for StackOptions {
    fn default() -> Self {
        const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
        Self { shards: SHARDS, dir: None, engine: None }
    }
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It runs; whether it answers is another question.
    Up,
    /// It is stopped by [`Stack::pause`].
    Paused,
    /// It does not run.
    Down,
}

/// Running servers; dropping it stops them.
///
/// Its methods may be called from several threads; those that concern one server wait for each other.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    programs: Programs,
    addresses: Addresses,
    nodes: Vec<Node>,
    /// Erlang's port mapper.
    epmd: Node,
    /// The engine's, if there is one.
    tablets: Option<Tablets>,
    /// True when this stack ends with this value.
    owned: bool,
    /// Held while the record is written.
    saving: Mutex<()>,
    // Dropped in this order, after the servers have ended.
    temporary: Option<TempDir>,
    guardian: Option<Guardian>,
    _lock: File,
}

impl Stack {
    /// Starts all servers, and waits until each of them answers. Installs what is missing, if it may.
    ///
    /// In a folder that was a stack's before, the data, the passwords, and the ports if they are free, stay the same.
    ///
    /// # Errors
    /// When a server is not installed or does not start: then the error names it and quotes the end of its log. When a
    /// stack is up in this folder, or it was made with another number of shards or by another database server.
    pub fn start(options: &StackOptions) -> Result<Self> {
        Self::start_with(options, None)
    }

    /// Starts servers that accept encrypted connections alone, and show this certificate.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_encrypted(options: &StackOptions, certificates: &Certificates) -> Result<Self> {
        Self::start_with(options, Some(certificates))
    }

    fn start_with(options: &StackOptions, certificates: Option<&Certificates>) -> Result<Self> {
        let mut programs = install::programs()?;
        // From here on everything ends with this value, and with this process.
        let guardian = Guardian::start()?;
        let Home { dir, temporary, lock } = Home::open(options.dir.as_deref(), &programs.mysql, &guardian)?;
        let record = Record::load(&dir)?;
        if let Some(record) = &record {
            check(record, &dir, options.shards, &programs.mysql)?;
        }
        if let Some(certificates) = certificates {
            tls::keep(&dir, certificates)?;
        }
        let tablets = tablets(record.as_ref(), &dir, options.engine)?;
        if tablets.is_some() {
            programs.engine = Some(engine_programs(&programs, &dir)?);
        }
        let (nodes, epmd) = nodes(&dir, options.shards.get(), tablets.as_ref(), record)?;
        let addresses = where_they_answer(&nodes);
        let mut stack = Self {
            dir,
            programs,
            addresses,
            nodes,
            epmd,
            tablets,
            owned: true,
            saving: Mutex::default(),
            temporary,
            guardian: Some(guardian),
            _lock: lock,
        };
        // Before anything is made with these passwords: a start that is interrupted can then be repeated.
        stack.save()?;
        stack.start_all()?;
        stack.addresses = where_they_answer(&stack.nodes);
        stack.save()?;
        write_private(&stack.dir.join("servers.toml"), &stack.addresses.to_toml())?;
        Ok(stack)
    }

    /// Takes up a stack that was left running. Dropping this one stops nothing.
    ///
    /// # Errors
    /// When there is none in this folder, or another process has it in hand.
    pub fn attach(dir: &Path) -> Result<Self> {
        let none = || format!("no stack in {}", dir.display());
        let dir = dir.canonicalize().with_context(none)?;
        ensure!(dir.join(record::FILE).is_file(), none());
        let lock = lock(&dir, PATIENCE)?;
        let record = Record::load(&dir)?.with_context(none)?;
        let (programs, tablets) = (record.programs.clone(), record.tablets.clone());
        let (nodes, epmd) = nodes(&dir, record.shards, tablets.as_ref(), Some(record))?;
        let addresses = where_they_answer(&nodes);
        let saving = Mutex::default();
        Ok(Self {
            dir,
            programs,
            addresses,
            nodes,
            epmd,
            tablets,
            owned: false,
            saving,
            temporary: None,
            guardian: None,
            _lock: lock,
        })
    }

    fn start_all(&self) -> Result<()> {
        thread::scope(|scope| {
            let databases = scope.spawn(|| self.start_databases());
            let redis = scope.spawn(|| self.start_kind(ServerKind::Redis));
            let rabbitmq = scope.spawn(|| {
                self.epmd.start(self.world())?;
                self.start_kind(ServerKind::RabbitMq)
            });
            let etcd = scope.spawn(|| {
                self.start_kind(ServerKind::Etcd)?;
                self.start_kind(ServerKind::Vtctld)
            });
            [databases, redis, rabbitmq, etcd].map(joined).into_iter().collect::<Result<()>>()
        })?;
        if self.tablets.is_none() {
            return Ok(());
        }
        self.control()?.make_keyspace()?;
        self.start_tablets(&self.used_tablets()?)?;
        self.start_kind(ServerKind::Vtgate)
    }

    /// The tablets to be started. A change of shards that was cut short leaves others, whose shards are gone, or were never
    /// made; each would make its shard when it starts, though others serve these ids.
    fn used_tablets(&self) -> Result<Vec<Tablet>> {
        let shards = self.control()?.shards()?;
        let is_used = |tablet: &&Tablet| {
            let is_there = shards.iter().any(|shard| shard.range == tablet.range);
            let mut serving = shards.iter().filter(|shard| shard.serves);
            is_there || !serving.any(|shard| shard.range.overlaps(tablet.range))
        };
        Ok(self.tablets.iter().flat_map(Tablets::all).filter(is_used).copied().collect())
    }

    /// Starts tablets, makes their shards, and lets each take writes that is the first of its shard.
    fn start_tablets(&self, tablets: &[Tablet]) -> Result<()> {
        let control = self.control()?;
        let shards = control.shards()?;
        let known = |tablet: &Tablet| shards.iter().find(|shard| shard.range == tablet.range);
        for tablet in tablets.iter().filter(|tablet| known(tablet).is_none()) {
            control.create_shard(tablet.range)?;
        }
        thread::scope(|scope| {
            let start = |tablet: &Tablet| {
                let node = self.node(tablet.server())?;
                if node.identity().is_some() { Ok(()) } else { node.start(self.world()) }
            };
            let starts: Vec<_> = tablets.iter().map(|tablet| scope.spawn(move || start(tablet))).collect();
            starts.into_iter().try_for_each(joined)
        })?;
        let waiting = |tablet: &&Tablet| !known(tablet).is_some_and(|shard| shard.has_primary);
        tablets.iter().filter(waiting).try_for_each(|tablet| control.make_primary(*tablet))
    }

    /// Gives each of these shards of the engine a tablet, if it has none that runs.
    pub(crate) fn add_tablets(&mut self, ranges: &[KeyRange]) -> Result<()> {
        let tablets = self.tablets.as_mut().context("this stack has no engine")?;
        let mut wanted = Vec::new();
        for range in ranges {
            let tablet = match tablets.of_shard(*range) {
                Some(tablet) => tablet,
                None => {
                    let tablet = tablets.add(*range);
                    let name = tablet.server().to_string();
                    self.nodes.push(Node::new(ServerKind::Tablet(tablet), name, &self.dir)?);
                    tablet
                }
            };
            wanted.push(tablet);
        }
        // As at the first start: a server that runs is in the record.
        self.save()?;
        self.start_tablets(&wanted)?;
        self.save()
    }

    /// Ends the tablets of these shards, which serve nothing. What is in their databases stays.
    pub(crate) fn remove_tablets(&mut self, ranges: &[KeyRange]) -> Result<()> {
        let tablets = self.tablets.as_mut().context("this stack has no engine")?;
        for tablet in ranges.iter().filter_map(|range| tablets.of_shard(*range)).collect::<Vec<_>>() {
            let name = tablet.server().to_string();
            if let Some(at) = self.nodes.iter().position(|node| node.name() == name) {
                let node = self.nodes.remove(at);
                node.begin_end(false)?;
                node.finish_end()?;
            }
            tablets.remove(tablet);
        }
        self.save()
    }

    /// Starts what ran of the engine and does so no more. Returns whether vtctld ran still.
    pub(crate) fn ensure_engine(&self) -> Result<bool> {
        let ran = self.node(Server::Vtctld)?.identity().is_some();
        let ensure = |server| self.node(server)?.ensure_running(self.world());
        [Server::Etcd, Server::Vtctld].into_iter().try_for_each(ensure)?;
        for tablet in self.used_tablets()? {
            // One that was recorded, and never started, is the next step's.
            if self.node(tablet.server())?.port() != 0 {
                ensure(tablet.server())?;
            }
        }
        ensure(Server::Vtgate)?;
        self.save()?;
        Ok(ran)
    }

    /// The engine's tools.
    pub(crate) fn control(&self) -> Result<Control> {
        let port = |server| Ok::<_, anyhow::Error>(self.node(server)?.port());
        Ok(Control::new(self.programs.engine()?, port(Server::Vtctld)?, port(Server::Etcd)?))
    }

    fn start_kind(&self, kind: ServerKind) -> Result<()> {
        self.nodes.iter().filter(|node| node.kind() == kind).try_for_each(|node| node.start(self.world()))
    }

    fn start_databases(&self) -> Result<()> {
        let template = self.dir.join("template");
        let databases = || self.nodes.iter().filter(|node| matches!(node.kind(), ServerKind::MySql { .. }));
        if databases().any(|node| !node.data().exists()) {
            mysql::make_template(&self.programs.mysql, &template, self.guardian.as_ref())?;
        }
        thread::scope(|scope| {
            let start = |node: &Node| {
                if !node.data().exists() {
                    mysql::copy_template(&template, node.data())?;
                }
                node.start(self.world())
            };
            let starts: Vec<_> = databases().map(|node| scope.spawn(move || start(node))).collect();
            starts.into_iter().try_for_each(joined)
        })?;
        if template.exists() {
            fs::remove_dir_all(&template).with_context(|| format!("cannot remove {}", template.display()))?;
        }
        Ok(())
    }

    fn world(&self) -> World<'_> {
        let (guardian, peers) = (self.guardian.as_ref(), self.nodes.as_slice());
        World { programs: &self.programs, guardian, epmd: self.epmd.port(), peers }
    }

    /// Records the stack for programs that attach to it, or start one here again. None does in a temporary folder.
    fn save(&self) -> Result<()> {
        if self.temporary.is_some() {
            return Ok(());
        }
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.nodes.iter().chain([&self.epmd]);
        let servers = all.map(|node| (node.name().to_owned(), node.record())).collect();
        Record::new(self.programs.clone(), self.shards(), self.tablets.clone(), servers).save(&self.dir)
    }

    fn shards(&self) -> u16 {
        let shards = self.addresses.shards.len();
        // As many as there were in a u16.
        u16::try_from(shards).unwrap_or(u16::MAX)
    }

    fn node(&self, server: Server) -> Result<&Node> {
        let name = server.to_string();
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.with_context(|| {
            let engine = if self.tablets.is_some() { "an" } else { "no" };
            format!("{server}: this stack has {} shards, counted from 0, and {engine} engine", self.shards())
        })
    }

    /// The addresses of the servers.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// All servers: main, the shards, Redis, RabbitMQ, and the engine's.
    pub fn servers(&self) -> impl Iterator<Item = Server> + use<> {
        let servers: Vec<Server> = self.nodes.iter().filter_map(|node| node.name().parse().ok()).collect();
        servers.into_iter()
    }

    /// The address of a server: of an engine's also those that only its own servers and tools go by.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn url(&self, server: Server) -> Result<String> {
        Ok(self.node(server)?.url())
    }

    /// The stack's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A server's process, if it runs: also while it is paused.
    #[must_use]
    pub fn pid(&self, server: Server) -> Option<u32> {
        Some(self.node(server).ok()?.identity()?.pid)
    }

    /// Looks up the state of a server.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn status(&self, server: Server) -> Result<Status> {
        Ok(match self.node(server)?.identity() {
            None => Status::Down,
            Some(identity) if identity.is_paused() => Status::Paused,
            Some(_) => Status::Up,
        })
    }

    /// The data folder of a server.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn data_dir(&self, server: Server) -> Result<&Path> {
        Ok(self.node(server)?.data())
    }

    /// The log file of a server.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn log(&self, server: Server) -> Result<PathBuf> {
        Ok(self.node(server)?.log())
    }

    /// Kills a server (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, server: Server) -> Result<()> {
        self.node(server)?.kill()?;
        self.save()
    }

    /// Stops a server as a person would (SIGTERM), and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run, or had to be killed.
    pub fn stop(&self, server: Server) -> Result<()> {
        self.node(server)?.stop()?;
        self.save()
    }

    /// Freezes a server (SIGSTOP): its connections stay, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, server: Server) -> Result<()> {
        self.node(server)?.freeze(true)
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, server: Server) -> Result<()> {
        self.node(server)?.freeze(false)
    }

    /// Starts a server again on the same port and folder, and waits until it answers. Stops it first if it runs.
    ///
    /// # Errors
    /// When it does not start; the error quotes the end of its log.
    pub fn restart(&self, server: Server) -> Result<()> {
        let node = self.node(server)?;
        if node.kind() == ServerKind::RabbitMq {
            self.epmd.ensure_running(self.world())?;
        }
        node.restart(self.world())?;
        self.save()
    }

    /// Limits a server to so many cores by its own control group, also after a restart. A later call sets another
    /// quota; the group goes with the stack.
    ///
    /// # Errors
    /// One line for people: why there can be no quota here.
    pub fn limit_cpu(&self, server: Server, cores: f64) -> Result<(), String> {
        let node = self.node(server).map_err(|error| format!("{error:#}"))?;
        node.limit_cpu(cores, self.guardian.as_ref())?;
        self.save().map_err(|error| format!("{error:#}"))
    }

    /// Starts one Redis more, empty and without any link to the other.
    ///
    /// # Errors
    /// When it does not start; the error quotes the end of its log.
    pub fn spare_redis(&self) -> Result<SpareRedis> {
        SpareRedis::start(&self.dir, self.node(Server::Redis)?, self.world())
    }

    /// Runs `rabbitmqctl` with these arguments, and returns what it prints.
    ///
    /// # Errors
    /// When it cannot be run, or fails; the error says what it printed.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> Result<String> {
        fault_tools::rabbitmqctl(self.world(), self.node(Server::RabbitMq)?, arguments)
    }

    /// Reads a server's use of the machine since it was last started.
    ///
    /// # Errors
    /// When it does not run, or the system does not say.
    pub fn usage(&self, server: Server) -> Result<Usage> {
        self.node(server)?.usage()
    }

    /// Lets the servers outlive this process: [`Stack::attach`] finds them again.
    ///
    /// # Errors
    /// When the stack is temporary.
    pub fn leave_running(mut self) -> Result<()> {
        ensure!(self.temporary.is_none(), "a temporary stack cannot be left running: give it a folder");
        if let Some(guardian) = &self.guardian {
            guardian.release()?;
        }
        self.owned = false;
        Ok(())
    }

    /// Stops all servers as a person would, and waits until they are gone. What a given folder holds is kept.
    ///
    /// # Errors
    /// The first of them that did not stop by itself; the others are stopped all the same.
    pub fn shut_down(mut self) -> Result<()> {
        self.owned = false;
        self.end(true)?;
        self.save()
    }

    fn end(&self, gently: bool) -> Result<()> {
        let mut ended = Vec::new();
        for needs_others in [true, false] {
            let nodes = || self.nodes.iter().filter(move |node| node.kind().needs_others() == needs_others);
            ended.extend(nodes().map(|node| node.begin_end(gently)));
            ended.extend(nodes().map(Node::finish_end));
        }
        // RabbitMQ needs it to the last.
        ended.push(self.epmd.finish_end());
        ended.into_iter().collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.owned {
            // The files that servers in a temporary folder write at the end are lost anyway. An error has nowhere to
            // go, and the guardian tries once more.
            let _ = self.end(self.temporary.is_none());
            let _ = self.save();
        }
    }
}

/// The result of a thread; a panic of the thread goes on in this one.
pub fn joined<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Finds the programs of an engine over these, and lets them into the stack's folder.
fn engine_programs(programs: &Programs, dir: &Path) -> Result<EnginePrograms> {
    let flavour = programs.mysql.flavour();
    ensure!(
        flavour == "MySQL",
        "an engine takes a MySQL server, and this one is {flavour}: {}=/path/to/mysqld names another",
        programs::MYSQL
    );
    ensure!(Tls::of(dir).is_none(), "an engine takes servers that do not encrypt, and these do");
    let found = install::engine()?;
    engine::open_to_programs(dir, &found)?;
    Ok(found)
}

fn nodes(
    dir: &Path,
    shards: u16,
    tablets: Option<&Tablets>,
    record: Option<Record>,
) -> Result<(Vec<Node>, Node)> {
    let mut known = record.map_or_else(BTreeMap::new, |record| record.servers);
    let mut node = |kind, name: String| match known.remove(&name) {
        Some(record) => Node::recorded(kind, name, dir, record),
        None => Node::new(kind, name, dir),
    };
    let mut servers = vec![(Server::Main, ServerKind::MySql { logged: false })];
    let logged = tablets.is_some();
    servers.extend((0..shards).map(|shard| (Server::Shard(shard), ServerKind::MySql { logged })));
    servers.extend([(Server::Redis, ServerKind::Redis), (Server::RabbitMq, ServerKind::RabbitMq)]);
    if let Some(tablets) = tablets {
        servers.extend([(Server::Etcd, ServerKind::Etcd), (Server::Vtctld, ServerKind::Vtctld)]);
        servers.extend(tablets.all().iter().map(|tablet| (tablet.server(), ServerKind::Tablet(*tablet))));
        servers.push((Server::Vtgate, ServerKind::Vtgate));
    }
    let nodes = servers.into_iter().map(|(server, kind)| node(kind, server.to_string()));
    let nodes = nodes.collect::<Result<_>>()?;
    Ok((nodes, node(ServerKind::Epmd, "epmd".to_owned())?))
}

fn where_they_answer(nodes: &[Node]) -> Addresses {
    let url = |server: Server| {
        let name = server.to_string();
        nodes.iter().find(|node| node.name() == name).map(Node::url).unwrap_or_default()
    };
    let shards = (0..u16::MAX).map(Server::Shard).map(url).take_while(|url| !url.is_empty()).collect();
    let (redis, rabbitmq) = (url(Server::Redis), url(Server::RabbitMq));
    let engine = Some(url(Server::Vtgate)).filter(|url| !url.is_empty());
    Addresses { main: url(Server::Main), shards, redis, rabbitmq, engine }
}
