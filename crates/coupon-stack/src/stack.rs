//! A stack: all servers together.

mod engine;
mod pairs;
mod rabbitmq;
mod sentinels;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::engine::engine_programs;
use crate::engine::Tablets;
use crate::fault_tools::SpareRedis;
use crate::files::write_private;
use crate::guardian::Guardian;
use crate::home::{Home, check, lock, tablets};
use crate::kind::ServerKind;
use crate::node::{Node, World};
use crate::process::Usage;
use crate::programs::Programs;
use crate::record::{self, Part, Record};
use crate::topology::Topology;
use crate::{Addresses, Certificates, Server, install, mysql, pair, redis, tls};

/// The time that another command may take that has the same stack in hand.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a stack.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// Its servers.
    pub topology: Topology,
    /// The folder of its files. Without it they are temporary, and go with the stack.
    pub dir: Option<PathBuf>,
}

impl From<Topology> for StackOptions {
    fn from(topology: Topology) -> Self {
        Self { topology, dir: None }
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
    topology: Topology,
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
    /// stack is up in this folder, or it was made with other servers, though Sentinels may come, or by another database server.
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
            check(record, &dir, options, &programs.mysql)?;
        }
        if let Some(certificates) = certificates {
            tls::keep(&dir, certificates)?;
        }
        let tablets = tablets(record.as_ref(), &dir, options.topology.engine)?;
        let topology = of_tablets(options.topology, tablets.as_ref());
        ensure!(
            !topology.redis_sentinel || topology.redis.get() == 1,
            "a stack of several Redis has no Sentinels: they look after one"
        );
        if tls::Tls::of(&dir).is_some() {
            ensure!(
                !topology.redis_sentinel,
                "a stack that encrypts connections has no Sentinels: whether they are ready cannot be asked"
            );
            ensure!(
                !topology.replicas,
                "a stack that encrypts connections has no replicas: its client would have to know whom to trust"
            );
        }
        if tablets.is_some() {
            ensure!(
                !topology.replicas,
                "a stack with an engine has no replicas: its tablets know one server each"
            );
            programs.engine = Some(engine_programs(&programs, &dir)?);
        }
        let (nodes, epmd) = nodes(&dir, topology, tablets.as_ref(), record)?;
        let addresses = where_they_answer(&nodes);
        let mut stack = Self {
            dir,
            programs,
            addresses,
            topology,
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
        let topology = of_tablets(record.topology, tablets.as_ref());
        let (nodes, epmd) = nodes(&dir, topology, tablets.as_ref(), Some(record))?;
        let addresses = where_they_answer(&nodes);
        let saving = Mutex::default();
        Ok(Self {
            dir,
            programs,
            addresses,
            topology,
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
            let redis = scope.spawn(|| self.start_redis());
            let rabbitmq = scope.spawn(|| self.start_rabbitmq());
            let control = scope.spawn(|| self.start_control());
            [databases, redis, rabbitmq, control].map(joined).into_iter().collect::<Result<()>>()
        })?;
        if self.tablets.is_some() { self.start_engine() } else { Ok(()) }
    }

    fn of_kind(&self, kind: ServerKind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind() == kind)
    }

    /// Starts Redis and, if there are any, its replica once it answers, and the Sentinels once the replica follows.
    fn start_redis(&self) -> Result<()> {
        [ServerKind::Redis, ServerKind::RedisReplica, ServerKind::Sentinel].into_iter().try_for_each(|kind| {
            self.of_kind(kind).try_for_each(|node| node.start(self.world()))?;
            self.of_kind(kind).try_for_each(Node::wait_until_it_is_in_place)
        })
    }

    /// Starts the nodes of RabbitMQ, and waits until they are one cluster.
    fn start_rabbitmq(&self) -> Result<()> {
        self.epmd.start(self.world())?;
        let mut nodes = self.of_kind(ServerKind::RabbitMq).peekable();
        // Others join the first one of a new cluster. Those of an old one wait for each other, so they start at once.
        if let Some(first) = nodes.next_if(|node| !node.data().exists()) {
            first.start(self.world())?;
        }
        thread::scope(|scope| {
            let starts: Vec<_> = nodes.map(|node| scope.spawn(move || node.start(self.world()))).collect();
            starts.into_iter().try_for_each(joined)
        })?;
        match self.topology.rabbitmq.get() {
            1 => Ok(()),
            several => {
                let wait = ["--timeout", "120", "await_online_nodes", &several.to_string()];
                self.rabbitmqctl(&wait).context("the nodes of RabbitMQ are not one cluster").map(drop)
            }
        }
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
        for server in self.servers() {
            if self.node(server)?.part() == Part::Replica {
                pair::attach(&self.programs.mysql, self.other(server)?, self.node(server)?)?;
            }
        }
        Ok(())
    }

    fn world(&self) -> World<'_> {
        let (guardian, epmd) = (self.guardian.as_ref(), self.epmd.port());
        let redis = self.of_kind(ServerKind::Redis).next().map_or(0, Node::port);
        let (programs, topology, peers) = (&self.programs, self.topology, self.nodes.as_slice());
        World { programs, guardian, epmd, topology, redis, peers }
    }

    /// Records the stack for programs that attach to it, or start one here again. None does in a temporary folder.
    fn save(&self) -> Result<()> {
        if self.temporary.is_some() {
            return Ok(());
        }
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.nodes.iter().chain([&self.epmd]);
        let servers = all.map(|node| (node.name().to_owned(), node.record())).collect();
        Record::new(self.programs.clone(), self.topology, self.tablets.clone(), servers).save(&self.dir)
    }

    fn node(&self, server: Server) -> Result<&Node> {
        let name = server.to_string();
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.with_context(|| format!("{server}: this stack has {}; numbers begin with 0", self.topology))
    }

    /// The addresses of the servers.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// All servers: main and the shards, each before its replica, then those of Redis, RabbitMQ, and an engine's.
    pub fn servers(&self) -> impl Iterator<Item = Server> + use<> {
        let servers: Vec<Server> = self.nodes.iter().filter_map(|node| node.name().parse().ok()).collect();
        servers.into_iter()
    }

    /// The address of one server by itself: of an engine's also those that only its own servers and tools go by.
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

/// The servers of a stack, with an engine of as many shards as it has tablets.
fn of_tablets(topology: Topology, tablets: Option<&Tablets>) -> Topology {
    let count = tablets.and_then(|tablets| u16::try_from(tablets.all().len()).ok());
    Topology { engine: count.and_then(NonZeroU16::new), ..topology }
}

fn nodes(
    dir: &Path,
    topology: Topology,
    tablets: Option<&Tablets>,
    record: Option<Record>,
) -> Result<(Vec<Node>, Node)> {
    let mut known = record.map_or_else(BTreeMap::new, |record| record.servers);
    let mut node = |kind, name: String, like: Option<&Node>| match (known.remove(&name), like) {
        (Some(record), _) => Node::recorded(kind, name, dir, record),
        (None, Some(primary)) if matches!(kind, ServerKind::MySql { .. }) => {
            Node::replica_of(primary, name, dir)
        }
        (None, Some(like)) => Node::like(like, kind, name, dir),
        (None, None) => Node::new(kind, name, dir),
    };
    let mut nodes = Vec::new();
    let database = ServerKind::MySql { logged: false };
    for server in Server::all(&topology) {
        let (kind, like) = match server {
            Server::Main => (database, None),
            Server::Shard(_) => (ServerKind::MySql { logged: tablets.is_some() }, None),
            // It comes behind its primary.
            Server::MainReplica | Server::ShardReplica(_) => (database, nodes.last()),
            Server::Redis | Server::Gate(_) => (ServerKind::Redis, None),
            // Those that take each other's place have one password.
            Server::RedisReplica => (ServerKind::RedisReplica, nodes.last()),
            Server::Sentinel(_) => (ServerKind::Sentinel, nodes.last()),
            Server::RabbitMq(0) => (ServerKind::RabbitMq, None),
            // The users of a cluster, and so their passwords, are those of all of its nodes.
            Server::RabbitMq(_) => (ServerKind::RabbitMq, nodes.last()),
            // They follow below: how many tablets there are, the record says.
            Server::Etcd | Server::Vtctld | Server::Tablet(_) | Server::Vtgate => continue,
        };
        let made = node(kind, server.to_string(), like)?;
        nodes.push(made);
    }
    if let Some(tablets) = tablets {
        let control = [(Server::Etcd, ServerKind::Etcd), (Server::Vtctld, ServerKind::Vtctld)];
        let all = tablets.all().iter().map(|tablet| (tablet.server(), ServerKind::Tablet(*tablet)));
        for (server, kind) in control.into_iter().chain(all).chain([(Server::Vtgate, ServerKind::Vtgate)]) {
            nodes.push(node(kind, server.to_string(), None)?);
        }
    }
    Ok((nodes, node(ServerKind::Epmd, "epmd".to_owned(), None)?))
}

fn where_they_answer(nodes: &[Node]) -> Addresses {
    let node = |server: Server| {
        let name = server.to_string();
        nodes.iter().find(|node| node.name() == name)
    };
    let url = |server: Server| {
        let url = node(server).map(Node::url).unwrap_or_default();
        match server.other().and_then(node) {
            Some(replica) => format!("{url},127.0.0.1:{}", replica.port()),
            None => url,
        }
    };
    let urls = |numbered: fn(u16) -> Server| -> Vec<String> {
        (0..u16::MAX).map(numbered).map(url).take_while(|url| !url.is_empty()).collect()
    };
    Addresses {
        main: url(Server::Main),
        shards: urls(Server::Shard),
        redis: redis_of_all(nodes).unwrap_or_else(|| {
            let gates = [url(Server::Redis)].into_iter().chain((1..u16::MAX).map(Server::Gate).map(url));
            gates.take_while(|url| !url.is_empty()).collect::<Vec<_>>().join(",")
        }),
        rabbitmq: urls(Server::RabbitMq),
        engine: Some(url(Server::Vtgate)).filter(|url| !url.is_empty()),
    }
}

/// The address of the Redis that Sentinels look after, if there are any.
fn redis_of_all(nodes: &[Node]) -> Option<String> {
    let sentinels: Vec<&Node> = nodes.iter().filter(|node| node.kind() == ServerKind::Sentinel).collect();
    let hosts: Vec<String> = sentinels.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let password = sentinels.first()?.record().password;
    Some(format!("redis+sentinel://:{password}@{}/{}", hosts.join(","), redis::SERVICE))
}
