//! From a validated grab to its answer: batch, gate, hand-over.
//!
//! Every HTTP worker has its own [`Batcher`], on its own thread. Grabs that arrive while batches are in flight form
//! the next one: no timer delays a lone grab, and under load every later step is paid once a batch.
//!
//! Where several gates decide, each has a lane of its own in every worker: batches of its coupons' grabs, which wait for no
//! other gate.

mod counters;
mod grab;
mod hot;
mod memory;
mod next;
mod placing;
mod runner;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{PerGate, Placement, RouteError, RowKey, ShardId, ShardingStrategy};
use coupon_store::failpoints::{self, Point};
use coupon_store::ids::IdGenerator;
use coupon_store::{Attempt, Backend, Decided, Decision, PlacedResult, Unavailable};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use self::counters::EarlyRefusal;
pub use self::counters::{GrabCounters, GrabEnd};
pub use self::grab::{Grab, GrabDecision, NotDecided};
use self::grab::{Reply, Waiting};
use self::hot::HotWorker;
use self::memory::{Life, Memory};
use self::next::Next;
use self::placing::{Batch, Fixed};
use self::runner::Runner;
use crate::telemetry::traces::{Traced, traced};

/// The longest that a slow shard keeps the next batch, which other shards have a part in, from being taken.
const PATIENCE: Duration = Duration::from_millis(5);

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// The most grabs one batch takes.
    pub batch_max: usize,
    /// The most batches of one worker and gate that are under way at once.
    pub in_flight: usize,
    /// The most grabs that wait for a batch on one worker, of one gate's coupons; beyond it they get 503.
    pub waiting_max: usize,
    /// The time for which a worker repeats what the gate refused; zero: the gate is always asked.
    pub memory: Duration,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    runners: usize,
}

/// A worker's grabs of one gate's coupons.
struct Lane {
    queue: RefCell<Queue>,
    memory: RefCell<Memory>,
}

/// One worker's pipeline.
pub struct Batcher {
    backend: Arc<Backend>,
    counters: Arc<GrabCounters>,
    limits: BatchLimits,
    ids: RefCell<IdGenerator>,
    lanes: PerGate<Lane>,
    hot: HotWorker,
}

/// A grab on its way to its shard, and the answer that its client waits for.
struct OnItsWay {
    row: PlacedResult,
    /// The gate granted it now: it is not handed over a second time.
    is_new: bool,
    /// The answer, once the row is stored.
    answer: GrabDecision,
    reply: Reply,
    traced: Option<Box<Traced>>,
}

impl Batcher {
    /// A pipeline for the worker that `ids` belong to.
    #[must_use]
    pub fn new(
        backend: Arc<Backend>,
        counters: Arc<GrabCounters>,
        limits: BatchLimits,
        ids: IdGenerator,
    ) -> Rc<Self> {
        let lane = |_| Lane { queue: RefCell::default(), memory: RefCell::new(Memory::new(limits.memory)) };
        let lanes = backend.gate.count().each(lane);
        let hot = counters.hot.worker();
        Rc::new(Self { backend, counters, limits, ids: RefCell::new(ids), lanes, hot })
    }

    /// Says whether it would take a grab now: whether there are ids, a gate, and a shard that something can be handed
    /// over to.
    ///
    /// # Errors
    /// [`Unavailable`] when it would not; it names what is missing.
    pub fn ready(&self) -> Result<(), Unavailable> {
        self.ids.borrow_mut().ready()?;
        self.backend.gate.ready()?;
        let hand_over = &self.backend.hand_over;
        hand_over.ready()?;
        let shards = self.backend.layouts.look(|versions| versions.latest().strategy.shard_count());
        let mut refusals = (0..shards.get()).map(|shard| hand_over.refusal(ShardId::new(shard)));
        match refusals.next().flatten() {
            Some(refusal) if refusals.all(|refusal| refusal.is_some()) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Decides a grab, and answers once it is stored.
    ///
    /// # Errors
    /// [`NotDecided`] when the outcome is unknown, the service is overloaded, or the result would have no place.
    pub async fn grab(self: &Rc<Self>, grab: Grab) -> Result<GrabDecision, NotDecided> {
        let lane = self.lanes.of(grab.coupon);
        let epoch = self.backend.gate.epoch(grab.coupon);
        let life = epoch.map(|epoch| Life { epoch, version: self.version() });
        if let Some(known) = life.and_then(|life| lane.memory.borrow_mut().recall(&grab, life)) {
            self.counters.recalled(known);
            return Ok(known);
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = lane.queue.borrow_mut();
            if queue.waiting.len() >= self.limits.waiting_max {
                self.counters.count(GrabEnd::Unavailable);
                self.counters.refused(EarlyRefusal::Waiting);
                return Err(Unavailable::new("the grab queue", "too many grabs are waiting").into());
            }
            queue.waiting.push(Waiting { grab, reply, traced: traced() });
            if queue.runners < self.limits.in_flight {
                queue.runners += 1;
                let gate = self.lanes.count().of(grab.coupon);
                actix_web::rt::spawn(Runner(Rc::clone(self), gate).run());
            }
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Unavailable::new("the pipeline", "the grab was cut short").into()))
    }

    /// The version of the catalogue that this process goes by: the gate decides by it, or by a later one.
    fn version(&self) -> u64 {
        self.backend.catalogue.version()
    }

    /// Counts the grab's outcome, and answers its client. A client that hung up gets no answer; the grab stands all the
    /// same.
    fn answer(&self, reply: Reply, answer: Result<GrabDecision, NotDecided>) {
        if let Some(outcome) = GrabEnd::of(&answer) {
            self.counters.count(outcome);
        }
        let _ = reply.send(answer);
    }

    async fn process(self: &Rc<Self>, batch: Vec<Waiting>) {
        let started = Instant::now();
        for traced in batch.iter().filter_map(|waiting| waiting.traced.as_ref()) {
            traced.stage("wait", traced.since, &[]);
        }
        let batch = self.backend.layouts.look(|versions| self.fix(versions, batch));
        let elsewhere = self.decide(batch, started).await;
        if !elsewhere.is_empty() {
            actix_web::rt::spawn(Rc::clone(self).decide_again(elsewhere));
        }
    }

    /// Has a batch decided, answered and handed over. Returns what a later version of the layout places than was known.
    async fn decide(self: &Rc<Self>, batch: Batch, started: Instant) -> Vec<(Attempt, Waiting)> {
        let Batch { attempts, fixed, knows } = batch;
        // Before the gate is asked: it may decide by a later one, never by an earlier.
        let version = self.version();
        let decided = self.backend.gate.reserve(knows, &attempts).await;
        for traced in fixed.iter().filter_map(|fixed| fixed.waiting.traced.as_ref()) {
            traced.stage("gate", started, &[("batch.grabs", attempts.len() as u64)]);
        }
        let Decided { decisions, epoch } = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.counters.gate_failed();
                let refused = fixed.into_iter().map(|fixed| fixed.waiting.reply);
                refused.for_each(|reply| self.answer(reply, Err(error.clone().into())));
                return Vec::new();
            }
        };
        self.counters.gate(attempts.len(), started.elapsed());
        self.remember(&attempts, &decisions, Life { epoch, version });
        let Sorted { by_shard, elsewhere } = self.sort_out(attempts, decisions, fixed);
        let on_their_way = by_shard.into_iter().map(|(shard, group)| {
            let this = Rc::clone(self);
            actix_web::rt::spawn(async move { this.hand_over(shard, epoch, group).await })
        });
        // The answers do not depend on this wait: only the next batch does.
        let _ = tokio::time::timeout(PATIENCE, join_all(on_their_way)).await;
        elsewhere
    }

    /// Places grabs by the latest version of the layout, and has them decided once more, under the ids that they have.
    async fn decide_again(self: Rc<Self>, elsewhere: Vec<(Attempt, Waiting)>) {
        let started = Instant::now();
        if let Err(error) = self.backend.growth.catch_up().await {
            let refused = elsewhere.into_iter().map(|(_, waiting)| waiting.reply);
            return refused.for_each(|reply| self.answer(reply, Err(error.clone().into())));
        }
        let batch = self.backend.layouts.look(|versions| self.place_again(versions, elsewhere));
        for (_, waiting) in self.decide(batch, started).await {
            let changes = Unavailable::new("the layout", "it changes just now; ask again in a moment");
            self.answer(waiting.reply, Err(changes.into()));
        }
    }

    /// The place where a row is written.
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        self.backend.layouts.look(|versions| versions.place(row))
    }

    /// Takes note of what the gate refused, to say so again without asking it. A grab that names its request is neither
    /// remembered nor answered from here.
    fn remember(self: &Rc<Self>, attempts: &[Attempt], decisions: &[Decision], life: Life) {
        let Some(lane) = attempts.first().map(|attempt| self.lanes.of(attempt.coupon)) else { return };
        let mut memory = lane.memory.borrow_mut();
        let unnamed = attempts.iter().zip(decisions).filter(|(attempt, _)| attempt.request.is_none());
        for (Attempt { user, coupon, .. }, decision) in unnamed {
            match *decision {
                Decision::Duplicate(id) => memory.duplicate(*user, *coupon, id, life),
                Decision::OutOfStock if memory.sold_out(*coupon, life) => {
                    let (this, coupon) = (Rc::clone(self), *coupon);
                    actix_web::rt::spawn(async move {
                        if let Some((epoch, holders)) = this.backend.gate.holders(coupon).await {
                            let life = Life { epoch, ..life };
                            let lane = this.lanes.of(coupon);
                            lane.memory.borrow_mut().held_by(coupon, life, holders);
                        }
                    });
                }
                _ => {}
            }
        }
    }

    /// Answers what the gate refused, and groups the rest by shard.
    fn sort_out(&self, attempts: Vec<Attempt>, decisions: Vec<Decision>, batch: Vec<Fixed>) -> Sorted {
        let mut sorted = Sorted::default();
        for ((attempt, decision), Fixed { waiting, placement }) in
            attempts.into_iter().zip(decisions).zip(batch)
        {
            if decision == Decision::OtherLayout {
                sorted.elsewhere.push((attempt, waiting));
                continue;
            }
            let (reserved, answer) = match Next::of(&attempt, decision) {
                Next::HandOver(reserved, answer) => (reserved, answer),
                Next::Answer(answer) => {
                    self.answer(waiting.reply, answer);
                    continue;
                }
            };
            let result = reserved.result(attempt.user, attempt.coupon, waiting.grab.room);
            // An id from before has a time from before, which may lead to another place.
            let is_new = reserved.id == attempt.id;
            let placed = if is_new { Ok(placement) } else { self.place(&result.key()) };
            match placed {
                Ok(placement) => {
                    let row = PlacedResult { placement, result };
                    let Waiting { reply, traced, .. } = waiting;
                    let group = sorted.by_shard.entry(placement.shard).or_default();
                    group.push(OnItsWay { row, is_new, answer, reply, traced });
                }
                Err(error) => self.answer(waiting.reply, Err(error.into())),
            }
        }
        sorted
    }

    async fn hand_over(&self, shard: ShardId, epoch: u64, group: Vec<OnItsWay>) {
        let started = Instant::now();
        let rows = group.iter().map(|grab| grab.row).collect();
        failpoints::hit(Point::Granted);
        let stored = self.backend.hand_over.hand_over(shard, epoch, rows).await;
        failpoints::hit(Point::Confirmed);
        self.counters.handed_over(shard, started.elapsed(), stored.is_ok());
        if stored.is_ok() {
            let new = group.iter().filter(|grab| grab.is_new);
            self.hot.stored(new.map(|grab| &grab.row.result));
        }
        let about = [("shard", u64::from(shard.number())), ("batch.grabs", group.len() as u64)];
        for grab in group {
            if let Some(traced) = &grab.traced {
                traced.stage("hand_over", started, &about);
            }
            self.answer(grab.reply, stored.clone().map(|()| grab.answer).map_err(NotDecided::from));
        }
    }
}

/// A batch that the gate has decided.
#[derive(Default)]
struct Sorted {
    by_shard: BTreeMap<ShardId, Vec<OnItsWay>>,
    /// The grabs that a later version of the layout places than was known.
    elsewhere: Vec<(Attempt, Waiting)>,
}

#[cfg(test)]
mod tests;
