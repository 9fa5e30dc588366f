//! The world of one schedule: servers in memory, the lines that lead to them, and its history.
//!
//! Every question travels to its server, takes effect there, and its answer travels back. A seed draws how long each
//! takes; faults decide what arrives at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coupon_core::{GateId, ShardId, Timestamp};
use coupon_measure::random::Random;
use coupon_store::clock::Clock;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::memory::State;

/// The longest that a question or an answer usually travels, in milliseconds.
const USUAL_MS: u64 = 3;
/// The longest that either travels while its server is slow.
const SLOW_MS: u64 = 400;
/// The time after which an answer counts as lost.
const UNHEARD: Duration = Duration::from_secs(3);
/// The moment at which a schedule begins: noon, so that no day ends within it.
const BEGINNING: i64 = 1_795_348_800_000;

/// A process, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub usize);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0 + 1)
    }
}

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The Redis of a gate.
    Gate(GateId),
    /// RabbitMQ.
    Queues,
    /// A shard's MySQL.
    Shard(ShardId),
    /// Main's MySQL.
    Main,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate(gate) => write!(f, "gate {gate}"),
            Self::Queues => f.write_str("the queues' server"),
            Self::Shard(shard) => write!(f, "shard {shard}"),
            Self::Main => f.write_str("main"),
        }
    }
}

/// The condition of a server and of the lines to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Condition {
    /// It refuses connections.
    pub down: bool,
    /// It takes its time.
    pub slow: bool,
    /// The questions in a hundred that are lost, or their answers.
    pub loses: u64,
}

/// A question has no answer. What it was to do may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The server refused the connection: nothing is done.
    Refused,
    /// It was not heard of again.
    Unheard,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Unheard => "it did not answer",
        })
    }
}

/// The lines of a history, and their digest.
#[derive(Debug, Default)]
struct History {
    lines: Option<Vec<String>>,
    digest: u64,
    events: u64,
}

/// The world of one schedule.
pub struct World {
    /// The servers' contents.
    state: Mutex<State>,
    network: Mutex<Network>,
    history: Mutex<History>,
    /// A process that was frozen may go on.
    thawed: Notify,
    /// The right time.
    pub clock: Clock,
}

struct Network {
    random: Random,
    conditions: BTreeMap<Server, Condition>,
    frozen: BTreeSet<ProcessId>,
    /// The number of times that the connections of a server were cut.
    cuts: BTreeMap<Server, u64>,
}

/// The fate of a question.
struct Fate {
    there: Duration,
    back: Duration,
    lost_before: bool,
    lost_after: bool,
}

impl World {
    /// A world whose delays and losses are drawn from a seed. Its history is written down, if that is asked for.
    #[must_use]
    pub fn new(seed: u64, state: State, written: bool) -> Arc<Self> {
        let history = History { lines: written.then(Vec::new), ..History::default() };
        let network = Network {
            random: Random::new(seed, 1),
            conditions: BTreeMap::new(),
            frozen: BTreeSet::new(),
            cuts: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            network: Mutex::new(network),
            history: Mutex::new(history),
            thawed: Notify::new(),
            clock: Clock::of_runtime(Timestamp::from_millis(BEGINNING)),
        })
    }

    /// The moment at which every schedule begins.
    #[must_use]
    pub const fn beginning() -> Timestamp {
        Timestamp::from_millis(BEGINNING)
    }

    /// The servers' contents.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Adds to the history.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let (mut history, line) = (lock(&self.history), line());
        let at = self.clock.now().millis() - BEGINNING;
        history.events += 1;
        history.digest = xxh3_64_with_seed(line.as_bytes(), history.digest ^ at.cast_unsigned());
        if let Some(lines) = &mut history.lines {
            lines.push(format!("{:>6}.{:03}  {line}", at / 1_000, at % 1_000));
        }
    }

    /// The digest of the history so far, how many events it has, and its lines if they were written down.
    pub fn history(&self) -> (u64, u64, Vec<String>) {
        let mut history = lock(&self.history);
        (history.digest, history.events, history.lines.take().unwrap_or_default())
    }

    /// Puts a server, and the lines to it, into a condition. One that goes down loses its connections.
    pub fn set(&self, server: Server, condition: Condition) {
        let mut network = lock(&self.network);
        if condition.down {
            *network.cuts.entry(server).or_default() += 1;
        }
        network.conditions.insert(server, condition);
    }

    /// Cuts every connection to a server.
    pub fn cut(&self, server: Server) {
        *lock(&self.network).cuts.entry(server).or_default() += 1;
    }

    /// The number of times that a server's connections were cut.
    pub fn cuts(&self, server: Server) -> u64 {
        lock(&self.network).cuts.get(&server).copied().unwrap_or(0)
    }

    /// The condition of a server.
    pub fn condition(&self, server: Server) -> Condition {
        lock(&self.network).conditions.get(&server).copied().unwrap_or_default()
    }

    /// Freezes a process: it asks nothing, and gets no answer.
    pub fn freeze(&self, process: ProcessId) {
        lock(&self.network).frozen.insert(process);
    }

    /// Lets a process go on.
    pub fn thaw(&self, process: ProcessId) {
        lock(&self.network).frozen.remove(&process);
        self.thawed.notify_waiters();
    }

    /// Puts an end to every fault of servers, lines and processes.
    pub fn heal(&self) {
        let mut network = lock(&self.network);
        network.conditions.clear();
        network.frozen.clear();
        drop(network);
        self.thawed.notify_waiters();
    }

    /// Waits until a process is not frozen.
    pub async fn awake(&self, process: ProcessId) {
        loop {
            let thawed = self.thawed.notified();
            if !lock(&self.network).frozen.contains(&process) {
                return;
            }
            thawed.await;
        }
    }

    /// A number below `bound`, from the network's own stream.
    pub fn draw(&self, bound: u64) -> u64 {
        lock(&self.network).random.below(bound)
    }

    fn fate(&self, server: Server) -> Fate {
        let mut network = lock(&self.network);
        let Condition { slow, loses, .. } = network.conditions.get(&server).copied().unwrap_or_default();
        let longest = if slow { SLOW_MS } else { USUAL_MS };
        let mut travel = || Duration::from_millis(network.random.below(longest + 1));
        let (there, back) = (travel(), travel());
        let lost = loses > 0 && network.random.below(100) < loses;
        let before = lost && network.random.below(2) == 0;
        Fate { there, back, lost_before: before, lost_after: lost && !before }
    }
}

/// A process's line to a server.
#[derive(Clone)]
pub struct ServerLine {
    /// The world that it is in.
    pub world: Arc<World>,
    /// The process that it belongs to.
    pub process: ProcessId,
    /// The server that it leads to.
    pub server: Server,
}

impl ServerLine {
    /// Asks a question, whose answer changes nothing at the server.
    pub async fn ask<T>(&self, read: impl FnOnce(&mut State) -> T) -> Result<T, NoAnswer> {
        self.world.awake(self.process).await;
        let Fate { there, back, lost_before, lost_after } = self.world.fate(self.server);
        if lost_before || lost_after {
            sleep(UNHEARD).await;
            self.world.awake(self.process).await;
            return Err(NoAnswer::Unheard);
        }
        travel(there).await;
        if self.world.condition(self.server).down {
            return Err(NoAnswer::Refused);
        }
        let answer = read(&mut self.world.state());
        travel(back).await;
        self.world.awake(self.process).await;
        Ok(answer)
    }

    /// Gives an order. It is on its way by itself: the process that gave it may be gone when it takes effect.
    pub async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        self.world.awake(self.process).await;
        let sent = self.send(act);
        let answer = tokio::select! {
            biased;
            answer = sent => answer.unwrap_or(Err(NoAnswer::Unheard)),
            () = sleep(UNHEARD) => Err(NoAnswer::Unheard),
        };
        self.world.awake(self.process).await;
        answer
    }

    /// Sends an order on its way. The answer comes through the channel, unless it is lost.
    pub fn send<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>) -> T + Send + 'static,
    ) -> oneshot::Receiver<Result<T, NoAnswer>> {
        let (reply, answer) = oneshot::channel();
        let Fate { there, back, lost_before, lost_after } = self.world.fate(self.server);
        let (world, server) = (Arc::clone(&self.world), self.server);
        tokio::spawn(async move {
            travel(there).await;
            if world.condition(server).down {
                let _ = reply.send(Err(NoAnswer::Refused));
                return;
            }
            if lost_before {
                return forget(reply).await;
            }
            let answer = act(&world);
            if lost_after {
                return forget(reply).await;
            }
            travel(back).await;
            let _ = reply.send(Ok(answer));
        });
        answer
    }
}

/// Leaves the question unanswered.
async fn forget<T>(reply: oneshot::Sender<T>) {
    sleep(UNHEARD).await;
    drop(reply);
}

async fn travel(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
