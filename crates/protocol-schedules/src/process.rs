//! A process of a schedule: the services' pipeline and tasks, over servers in memory.

use std::cell::OnceCell;
use std::num::{NonZeroU16, NonZeroU32};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::{CatalogueChange, Operator};
use coupon_core::{
    Placement, Plan, RequestKey, ResultId, ResultQuery, RoomId, RouteError, RowKey, ShardId,
    ShardingStrategy, TableId, Timestamp, UserId,
};
use coupon_servers::seam::{Process, ProcessPart, Tasks, Terms};
use coupon_service::pipeline::{BatchLimits, Batcher, Grab, GrabCounters, GrabDecision, NotDecided};
use coupon_store::clock::Clock;
use coupon_store::settings::Role;
use coupon_store::{
    Announced, Applied, Backend, ChangeError, Changed, Data, Growing, GrowthError, Known, Layouts, Moving,
    NextLayout, Unavailable, VersionRecord,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use crate::memory::reach;
use crate::no_reads::{NoMetrics, NoReads};
use crate::plan::{LEAD_MS, SHARDS, USERS};
use crate::world::{ProcessId, World};

/// The wait before a process that did not start is started again.
const AGAIN: Duration = Duration::from_millis(300);
/// The part that every process takes.
pub const PROCESS_PART: ProcessPart = ProcessPart {
    role: Role::All,
    workers: 1,
    shard_backlog: 1_000,
    gate_patience: Duration::from_secs(1),
    publish_patience: Duration::from_secs(2),
    reconcile_every: Duration::from_secs(1),
    layout_lead: Duration::from_millis(LEAD_MS),
};
/// The rows that move in a second.
const RATE: NonZeroU32 = NonZeroU32::new(20).unwrap();
const BATCHES: BatchLimits =
    BatchLimits { batch_max: 64, in_flight: 2, waiting_max: 1_000, memory: Duration::from_secs(1) };

/// The user decides the shard, and there is one table: at first, or once the layout has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByUser {
    /// By the remainder of the user's number.
    First,
    /// By that of the number after it, so that every user's next results are on another shard.
    Turned,
}

impl ByUser {
    /// The layout of that line.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        [Self::First, Self::Turned].into_iter().find(|layout| layout.layout() == line)
    }

    /// The other one.
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Turned,
            Self::Turned => Self::First,
        }
    }

    /// The place of a user's results.
    fn of_user(self, user: UserId) -> Placement {
        let number = match self {
            Self::First => user.get(),
            Self::Turned => user.get() + 1,
        };
        let shard = u16::try_from(number % u64::from(SHARDS)).unwrap_or_default();
        Placement::new(ShardId::new(shard), TableId::Single)
    }
}

impl ShardingStrategy for ByUser {
    fn name(&self) -> &str {
        match self {
            Self::First => "by-user",
            Self::Turned => "by-user-turned",
        }
    }

    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::MIN.saturating_add(SHARDS - 1)
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(self.of_user(row.user))
    }

    fn plan(&self, _: &ResultQuery) -> Plan {
        Plan::All
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        Self::of(line).map(|layout| Arc::new(layout) as _)
    }
}

/// The places where a row of a user's may be that was grabbed then, in the order in which it comes to them, by the versions that
/// main has.
pub(crate) fn places(versions: &[VersionRecord], user: UserId, time: Timestamp) -> Vec<Placement> {
    let open: Vec<&VersionRecord> = versions.iter().filter(|version| !version.closed).collect();
    let written = open.iter().rposition(|version| version.from <= time).unwrap_or(0);
    let later = open.iter().skip(written + 1).filter(|version| version.receives);
    let versions = open.get(written).into_iter().chain(later);
    versions.filter_map(|version| Some(ByUser::of(&version.layout)?.of_user(user))).collect()
}

/// A request to a process.
enum Request {
    Grab(Grab, oneshot::Sender<Result<GrabDecision, NotDecided>>),
    Step(UserId, ResultId, Action, oneshot::Sender<Result<Changed, Unavailable>>),
    Turn(oneshot::Sender<Result<Announced, GrowthError>>),
    Move(oneshot::Sender<Result<Moving, GrowthError>>),
    Change(CatalogueChange, oneshot::Sender<Result<Applied, ChangeError>>),
    Drain(oneshot::Sender<Result<(), Unavailable>>),
}

/// A process that runs, or is about to.
pub(crate) struct Running {
    door: mpsc::UnboundedSender<Request>,
    life: JoinHandle<()>,
    /// Its tasks, once it has started.
    tasks: Rc<OnceCell<Tasks>>,
    /// Its clock.
    pub(crate) clock: Clock,
}

impl Running {
    /// Starts a process.
    #[must_use]
    pub(crate) fn start(world: &Arc<World>, id: ProcessId, terms: Rc<[Terms]>) -> Self {
        let (door, requests) = mpsc::unbounded_channel();
        let (world, clock) = (Arc::clone(world), world.clock.another());
        let (its, tasks) = (clock.clone(), Rc::new(OnceCell::new()));
        let started = Rc::clone(&tasks);
        let life = spawn_local(async move {
            LocalSet::new().run_until(live(world, id, terms, its, started, requests)).await;
        });
        Self { door, life, tasks, clock }
    }

    /// Asks it for a coupon. `None` when it is gone, or goes before it answers.
    pub(crate) async fn grab(&self, grab: Grab) -> Option<Result<GrabDecision, NotDecided>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Grab(grab, reply)).ok()?;
        answer.await.ok()
    }

    /// Asks it to take a step of a result. `None` when it is gone, or goes before it answers.
    pub(crate) async fn step(
        &self,
        user: UserId,
        id: ResultId,
        action: Action,
    ) -> Option<Result<Changed, Unavailable>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Step(user, id, action, reply)).ok()?;
        answer.await.ok()
    }

    /// Asks it to announce the other layout. `None` when it is gone, or goes before it answers.
    pub(crate) async fn turn(&self) -> Option<Result<Announced, GrowthError>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Turn(reply)).ok()?;
        answer.await.ok()
    }

    /// Asks it to move rows to where the latest layout says. `None` when it is gone, or goes before it answers.
    pub(crate) async fn moves(&self) -> Option<Result<Moving, GrowthError>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Move(reply)).ok()?;
        answer.await.ok()
    }

    /// Asks it for a change of the catalogue. `None` when it is gone, or goes before it answers.
    pub(crate) async fn change(&self, change: CatalogueChange) -> Option<Result<Applied, ChangeError>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Change(change, reply)).ok()?;
        answer.await.ok()
    }

    /// Asks it to drain.
    pub(crate) async fn drain(&self) -> Option<Result<(), Unavailable>> {
        let (reply, answer) = oneshot::channel();
        self.door.send(Request::Drain(reply)).ok()?;
        answer.await.ok()
    }

    /// The number of transactions of a shard that it has seen committed.
    pub(crate) fn seen(&self, shard: ShardId) -> u64 {
        self.tasks.get().map_or(0, |tasks| tasks.seen(shard))
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        self.life.abort();
    }
}

async fn live(
    world: Arc<World>,
    id: ProcessId,
    terms: Rc<[Terms]>,
    clock: Clock,
    started: Rc<OnceCell<Tasks>>,
    mut requests: mpsc::UnboundedReceiver<Request>,
) {
    let layouts = || Arc::new(Layouts::first(Arc::new(ByUser::First)));
    let process = loop {
        world.awake(id).await;
        // Of a shard's copy it would know no better.
        while !world.state().set_aside.is_empty() {
            sleep(AGAIN).await;
        }
        let servers = reach(&world, id, known(&terms), SHARDS);
        match Process::start(servers, PROCESS_PART, layouts(), &clock).await {
            Ok(process) => break process,
            Err(_) => sleep(AGAIN).await,
        }
    };
    let (pipeline, tasks) = (pipeline(&process, &clock), process.tasks());
    let (growth, layouts) = (Rc::new(process.growth()), process.layouts());
    let _ = started.set(tasks.clone());
    spawn_local(process.run());
    while let Some(request) = requests.recv().await {
        world.awake(id).await;
        match request {
            Request::Grab(grab, reply) => {
                let pipeline = Rc::clone(&pipeline);
                spawn_local(async move { reply.send(pipeline.grab(grab).await) });
            }
            Request::Step(user, id, action, reply) => {
                // The versions of the layout now: by them the step finds the row where it is.
                let versions = world.state().main.catalogue.layouts.clone();
                let (tasks, places) = (tasks.clone(), places(&versions, user, id.time()));
                spawn_local(async move { reply.send(step(&tasks, &places, user, id, action).await) });
            }
            Request::Move(reply) => {
                let growth = Rc::clone(&growth);
                spawn_local(async move { reply.send(move_rows(&**growth).await) });
            }
            Request::Turn(reply) => {
                let (growth, layouts) = (Rc::clone(&growth), Arc::clone(&layouts));
                spawn_local(async move { reply.send(turn(&**growth, &layouts).await) });
            }
            Request::Change(change, reply) => {
                let Ok(operator) = Operator::new("olga") else { continue };
                let changed = tasks.change_the_catalogue(change, operator);
                spawn_local(async move { reply.send(changed.await) });
            }
            Request::Drain(reply) => {
                let drained = tasks.drain();
                spawn_local(async move { reply.send(drained.await) });
            }
        }
    }
}

/// Takes a step of a result, at the first of its places where it is.
async fn step(
    tasks: &Tasks,
    places: &[Placement],
    user: UserId,
    id: ResultId,
    action: Action,
) -> Result<Changed, Unavailable> {
    for placement in places {
        let changed = tasks.change(*placement, user, id, action).await?;
        if changed != Changed::NotFound {
            return Ok(changed);
        }
    }
    Ok(Changed::NotFound)
}

/// Begins to move rows, few at a time.
async fn move_rows(growth: &dyn Growing) -> Result<Moving, GrowthError> {
    growth.start_moving(RATE, operator()?).await
}

fn operator() -> Result<Operator, GrowthError> {
    Operator::new("olga").map_err(|why| GrowthError::Refused(format!("{why:?}")))
}

/// Announces the other layout.
async fn turn(growth: &dyn Growing, layouts: &Layouts) -> Result<Announced, GrowthError> {
    let latest = layouts.now().latest().clone();
    let layout = ByUser::of(&latest.strategy.layout()).map_or(ByUser::First, ByUser::other);
    let next = NextLayout { after: latest.number, strategy: Arc::new(layout), what: "turned".to_owned() };
    growth.announce(next, operator()?).await
}

fn pipeline(process: &Process, clock: &Clock) -> Rc<Batcher> {
    let backend = Backend {
        dataset: crate::memory::DATASET.to_owned(),
        layouts: process.layouts(),
        growth: process.growth(),
        archiving: None,
        ids: process.ids(),
        gate: process.gate(),
        lifecycle: Box::new(NoReads),
        hand_over: process.hand_over(),
        shards: Box::new(NoReads),
        room_index: None,
        catalogue: Box::new(NoReads),
        own_metrics: Box::new(NoMetrics),
        data: Data::Servers("memory".to_owned()),
    };
    let ids = backend.ids.generator(clock, 0);
    Batcher::new(Arc::new(backend), Arc::new(GrabCounters::new(SHARDS)), BATCHES, ids)
}

fn known(terms: &[Terms]) -> Known {
    let users = (1..=USERS).filter_map(|id| UserId::new(id).ok());
    Known::offering(users, terms.iter().map(|terms| terms.room), terms)
}

/// A user's wish, as the pipeline takes it.
#[must_use]
pub(crate) fn wished(terms: &Terms, user: UserId, request: Option<RequestKey>) -> Grab {
    let room: RoomId = terms.room;
    Grab { user, coupon: terms.coupon, room, terms: terms.grab, request }
}
