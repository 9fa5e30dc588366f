//! The state that tasks and HTTP workers share, a handle for each subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::{GateId, PerGate, ShardId, Timestamp};
use coupon_store::clock::Clock;
use coupon_store::timekeeping::ClockOffset;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::publish::Watched;
use super::store::Floor;
use crate::gate::{Epoch, EpochCell, RESPONSE};
use crate::seam::{ConnectGate, GateError, GateServer, QueueServer};

/// The longest that a task which looks after several gates waits for the answer of one: the others have theirs at once.
const SEVERAL: Duration = Duration::from_secs(1);

/// A gate: its server, the tasks' own connections to it, and the epoch that is open there.
pub(crate) struct GateHandle {
    pub(crate) id: GateId,
    pub(crate) connect: ConnectGate,
    pub(crate) server: Box<dyn GateServer>,
    /// The connection of tasks that look after every gate, where there are several.
    quick: Option<Box<dyn GateServer>>,
    pub(crate) epoch: Arc<EpochCell>,
}

impl GateHandle {
    /// The gate that is reached in that way; one of several, if that is said.
    pub(crate) fn new(id: GateId, connect: ConnectGate, is_one_of_several: bool) -> Self {
        let quick = is_one_of_several.then(|| connect(SEVERAL));
        Self { id, server: connect(RESPONSE), quick, connect, epoch: Arc::default() }
    }

    /// The connection of a task that looks after every gate.
    pub(crate) fn quick(&self) -> &dyn GateServer {
        self.quick.as_deref().unwrap_or(&*self.server)
    }

    /// False of one of several gates that did not answer when it was last asked: what is to be done at every gate is done there
    /// later.
    pub(crate) fn may_answer(&self) -> bool {
        self.quick.is_none() || !self.epoch.is_away()
    }

    /// The epoch that is open, if the gate may answer.
    pub(crate) fn open(&self) -> Option<Arc<Epoch>> {
        self.epoch.open().filter(|_| self.may_answer())
    }

    /// Takes note where one of several gates has not answered over the quick connection: the others wait for it this once.
    pub(crate) fn heard<T>(&self, answer: Result<T, GateError>) -> Result<T, GateError> {
        if self.quick.is_some() && matches!(answer, Err(GateError::Away { .. })) {
            self.epoch.answered(false);
        }
        answer
    }
}

/// The gates of a data set.
pub(crate) type Gates = PerGate<GateHandle>;

/// A connection to each gate.
pub(crate) type GateLines = PerGate<Box<dyn GateServer>>;

/// Connections of a thread's own, on which each question is given up after so long.
pub(crate) fn lines(gates: &Gates, patience: Duration) -> GateLines {
    gates.count().each(|gate| (gates.get(gate).connect)(patience))
}

/// The queues: their server, the tasks' own way to publish, and what this process has taken from them.
pub(crate) struct QueuesHandle {
    pub(crate) server: Box<dyn QueueServer>,
    pub(crate) publisher: Watched,
    /// Results that this process's consumers are at work on, and messages that they have not looked at: the queues
    /// count neither.
    in_flight: Vec<(AtomicU64, AtomicU64)>,
}

impl QueuesHandle {
    /// Starts to connect the tasks' publisher, which gives each message up after so long.
    pub(crate) fn new(server: Box<dyn QueueServer>, gates: &Gates, patience: Duration, shards: u16) -> Self {
        let publisher = Watched::new(server.publisher(patience), gates);
        Self { server, publisher, in_flight: per_shard(shards) }
    }

    /// Takes note of what the shard's consumer in this process is at work on: the queue does not count it any more.
    pub(super) fn works_on(&self, shard: ShardId, results: usize, messages: usize) {
        if let Some((in_results, in_messages)) = self.in_flight.get(shard.index()) {
            in_results.store(results as u64, Ordering::Relaxed);
            in_messages.store(messages as u64, Ordering::Relaxed);
        }
    }

    /// The results that the shard's consumer in this process is at work on, and the messages that it has not looked at.
    pub(super) fn at_work_on(&self, shard: ShardId) -> (u64, u64) {
        let here = self.in_flight.get(shard.index());
        here.map_or((0, 0), |(results, messages)| {
            (results.load(Ordering::Relaxed), messages.load(Ordering::Relaxed))
        })
    }
}

/// The least that each shard must have, by what this process has seen.
pub(crate) struct Floors {
    /// The last entry of each shard's outbox that main had applied when it was last asked.
    told: Vec<AtomicI64>,
    /// The number of transactions of each shard that this process has seen committed, by its own consumer or by
    /// looking.
    commits: Vec<AtomicU64>,
}

impl Floors {
    pub(crate) fn new(shards: u16) -> Self {
        Self { told: per_shard(shards), commits: per_shard(shards) }
    }

    /// The least that a shard must have.
    pub(crate) fn of(&self, shard: ShardId) -> Floor {
        let told = self.told.get(shard.index()).map_or(0, |told| told.load(Ordering::Relaxed));
        let commits = self.commits.get(shard.index()).map_or(0, |seen| seen.load(Ordering::Relaxed));
        Floor { told, commits }
    }

    /// The number of transactions of a shard that this process has seen committed.
    pub(crate) fn seen(&self, shard: ShardId) -> u64 {
        self.of(shard).commits
    }

    /// Takes note that main has applied a shard's outbox up to there.
    pub(super) fn main_was_told(&self, shard: ShardId, position: i64) {
        if let Some(told) = self.told.get(shard.index()) {
            told.store(position, Ordering::Relaxed);
        }
    }

    /// Takes note that a shard has committed so many transactions.
    pub(super) fn saw_committed(&self, shard: ShardId, commits: u64) {
        if let Some(seen) = self.commits.get(shard.index()) {
            seen.fetch_max(commits, Ordering::Relaxed);
        }
    }
}

/// The time: this process's clock, and how far it is from main's.
pub(crate) struct Time {
    pub(crate) clock: Clock,
    pub(crate) clock_offset: Arc<ClockOffset>,
}

impl Time {
    /// The shared time, by this process's estimate.
    pub(crate) fn mains(&self) -> Timestamp {
        self.clock_offset.mains(self.clock.now())
    }
}

/// The signals between tasks.
pub(crate) struct Signals {
    /// Something was stored that main has not applied.
    to_apply: Notify,
    /// A caller waits for main to apply it.
    apply_now: Notify,
    /// Main has applied everything that was found.
    applied: Notify,
    /// Something gave its stock back, of each shard.
    gave_back: Vec<Notify>,
    stop: AtomicBool,
    /// This process stores nothing any more.
    consumed: AtomicBool,
}

impl Signals {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            to_apply: Notify::new(),
            apply_now: Notify::new(),
            applied: Notify::new(),
            gave_back: per_shard(shards),
            stop: AtomicBool::new(false),
            consumed: AtomicBool::new(false),
        }
    }

    /// Has every task come to its end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.hurry();
    }

    /// Says that every task is to come to its end.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says that the consumers of this process have come to their end: what is to be applied is all there is.
    pub(super) fn consumers_ended(&self) {
        self.consumed.store(true, Ordering::Release);
        self.hurry();
    }

    /// True if this process may store more.
    pub(super) fn may_store_more(&self) -> bool {
        !self.consumed.load(Ordering::Acquire)
    }

    /// Says that something was stored that main has not applied.
    pub(super) fn stored(&self) {
        self.to_apply.notify_one();
    }

    /// Says that something of a shard gave its stock back.
    pub(super) fn gave_back(&self, shard: ShardId) {
        if let Some(gave_back) = self.gave_back.get(shard.index()) {
            gave_back.notify_one();
        }
    }

    /// Waits until something of a shard gave its stock back, for so long at most.
    pub(super) async fn given_back(&self, shard: ShardId, at_most: Duration) {
        match self.gave_back.get(shard.index()) {
            Some(gave_back) => drop(timeout(at_most, gave_back.notified()).await),
            None => tokio::time::sleep(at_most).await,
        }
    }

    /// Applies every outbox now instead of on the timer.
    pub(super) fn hurry(&self) {
        self.gave_back.iter().for_each(Notify::notify_one);
        self.to_apply.notify_one();
        self.apply_now.notify_one();
    }

    /// Waits until something is to be applied, for `idle` at most, and then for more of it, unless a caller waits.
    pub(super) async fn to_apply(&self, idle: Duration, more: Duration) {
        let _ = timeout(idle, self.to_apply.notified()).await;
        let _ = timeout(more, self.apply_now.notified()).await;
    }

    /// Says that main has applied everything that was found.
    pub(super) fn applied(&self) {
        self.applied.notify_waiters();
    }

    /// Waits until main has applied more, for so long at most.
    pub(super) async fn more_applied(&self, at_most: Duration) {
        let _ = timeout(at_most, self.applied.notified()).await;
    }
}

fn per_shard<T: Default>(shards: u16) -> Vec<T> {
    (0..shards).map(|_| T::default()).collect()
}
