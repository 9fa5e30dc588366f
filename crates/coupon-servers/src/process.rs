//! One process at work on servers: its gate, its hand-over, its ids, and the tasks beside them.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::{CatalogueChange, Operator};
use coupon_core::{Placement, ResultId, ShardId, UserId};
use coupon_store::clock::Clock;
use coupon_store::ids::{IdSource, random_name};
use coupon_store::settings::{Role, ServersSettings};
use coupon_store::{Applied, Change, ChangeError, Changed, Gate, Growing, HandOver, Layouts, Unavailable};

use super::counts::Counts;
use super::gate::ServersGate;
use super::growth::ServersGrowth;
use super::hand_over::Queues;
use super::per_thread::PerThread;
use super::seam::{Living, Servers};
use super::status::ShardStatus;
use super::tasks::{
    Background, Crew, Floors, Following, GateHandle, Leases, MovementRate, QueuesHandle, Signals, Time,
    agree_at_start, look,
};

/// The part that a process takes, and its limits.
#[derive(Debug, Clone, Copy)]
pub struct ProcessPart {
    /// The work that it does.
    pub role: Role,
    /// Workers that take grabs, each of which makes its own ids.
    pub workers: usize,
    /// The most results that wait for one shard's tables.
    pub shard_backlog: usize,
    /// The longest that a grab waits for the gate.
    pub gate_patience: Duration,
    /// The longest that a hand-over waits for its confirmation.
    pub publish_patience: Duration,
    /// The time between two rounds of the reconciler.
    pub reconcile_every: Duration,
    /// The time from which a version of the layout is announced to that from which it is in force.
    pub layout_lead: Duration,
}

impl ProcessPart {
    /// A service's lead of a version of the layout: a process that main answers knows the version by then, and one
    /// without an answer for so long counts as cut off.
    pub const LAYOUT_LEAD: Duration = Duration::from_secs(10);

    /// The part that settings give a process.
    #[must_use]
    pub const fn of(settings: &ServersSettings, workers: usize, shard_backlog: usize) -> Self {
        Self {
            role: settings.role,
            workers,
            shard_backlog,
            gate_patience: Duration::from_millis(settings.gate_timeout_ms.get()),
            publish_patience: settings.publish_timeout(),
            reconcile_every: Duration::from_millis(settings.reconcile_ms.get()),
            layout_lead: Self::LAYOUT_LEAD,
        }
    }
}

/// A process, and the tasks that it has started.
pub struct Process {
    part: ProcessPart,
    ids: IdSource,
    pub(super) background: Arc<Background>,
    crew: Crew,
}

impl Process {
    /// Makes the queues that are missing, leases worker numbers, and starts the tasks.
    ///
    /// # Errors
    /// When RabbitMQ or main cannot be asked, or this process's clock is far from main's.
    pub async fn start(
        servers: Servers,
        part: ProcessPart,
        layouts: Arc<Layouts>,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let background = Background::new(servers, part, layouts, clock).await?;
        background.begin_to_follow().await?;
        let (holder, clock_offset) =
            (background.living.holder.clone(), Arc::clone(&background.time.clock_offset));
        let leases = Leases::take(&background.main, clock, holder, part.workers, clock_offset).await?;
        let background = Arc::new(background);
        let (crew, ids) = Crew::start(&background, leases, part);
        Ok(Self { part, ids, background, crew })
    }

    /// The ids of its workers.
    #[must_use]
    pub fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    /// The places of rows.
    #[must_use]
    pub fn layouts(&self) -> Arc<Layouts> {
        Arc::clone(&self.background.layouts)
    }

    /// Its gate.
    #[must_use]
    pub fn gate(&self) -> Box<dyn Gate> {
        let (background, patience) = (Arc::clone(&self.background), self.part.gate_patience);
        Box::new(ServersGate::new(background, patience))
    }

    /// Its way of changing the layout, to be asked on any thread of this runtime's.
    #[must_use]
    pub fn growth(&self) -> Box<dyn Growing> {
        let (background, runtime) = (Arc::clone(&self.background), tokio::runtime::Handle::current());
        Box::new(ServersGrowth { background, runtime })
    }

    /// Its hand-over.
    #[must_use]
    pub fn hand_over(&self) -> Box<dyn HandOver> {
        Box::new(Queues {
            background: Arc::clone(&self.background),
            publishers: PerThread::default(),
            role: self.part.role,
            timeout: self.part.publish_patience,
            backlog: self.part.shard_backlog as u64,
        })
    }

    /// Its tasks, for callers that give them orders while they run.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks(Arc::clone(&self.background))
    }

    /// Works until it is asked to stop. A process that is dropped instead ends at once, wherever it is.
    pub async fn run(self) {
        self.crew.run().await;
    }
}

/// The tasks of a process.
#[derive(Clone)]
pub struct Tasks(Arc<Background>);

impl Tasks {
    /// Waits until everything handed over so far is stored, and main has applied it.
    ///
    /// # Errors
    /// When a server is unavailable for long.
    pub fn drain(&self) -> impl Future<Output = Result<(), Unavailable>> + Send + 'static {
        Arc::clone(&self.0).drain()
    }

    /// The number of transactions of a shard that this process has seen committed: it takes no copy for the shard that has
    /// fewer.
    #[must_use]
    pub fn seen(&self, shard: ShardId) -> u64 {
        self.0.floors.seen(shard)
    }

    /// Makes a change of the catalogue, and answers as an operator is answered.
    ///
    /// # Errors
    /// When it is refused, or main is unavailable; then it may be made.
    pub fn change_the_catalogue(
        &self,
        change: CatalogueChange,
        operator: Operator,
    ) -> impl Future<Output = Result<Applied, ChangeError>> + 'static {
        Arc::clone(&self.0).change_the_catalogue(change, operator)
    }

    /// Takes a step of a result that lives there, if its row allows it.
    ///
    /// # Errors
    /// When its shard is unavailable; the step may be taken.
    pub fn change(
        &self,
        placement: Placement,
        user: UserId,
        id: ResultId,
        action: Action,
    ) -> impl Future<Output = Result<Changed, Unavailable>> + 'static {
        let background = Arc::clone(&self.0);
        async move {
            let shard = placement.shard;
            let server = background.databases.get(shard.index());
            let server =
                server.ok_or_else(|| Unavailable::new(format!("shard {shard}"), "there is no such shard"))?;
            let change = Change { user, id, action, time: background.time.mains().max(id.time()) };
            background.change(None, &**server, placement, &change).await
        }
    }
}

impl Background {
    /// Waits until every gate is open.
    pub(super) async fn wait_for_the_gates(&self) {
        for shard in self.shards() {
            look(self, shard).await;
        }
        while self.gates.iter().any(|gate| gate.epoch.number().is_none()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn new(
        servers: Servers,
        part: ProcessPart,
        layouts: Arc<Layouts>,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let Servers { dataset, list, offered, gates, queues, shards: databases, main, rooms } = servers;
        let clock_offset = agree_at_start(&*main, clock).await?;
        let mut admin = queues.admin().await?;
        admin.declare().await?;
        admin.close().await;
        let (shards, several) = (layouts.prepared().get(), gates.count().is_several());
        let gates = gates.map(|gate, connect| GateHandle::new(gate, connect, several));
        Ok(Self {
            dataset,
            list,
            offered,
            status: (0..shards).map(|_| Arc::new(ShardStatus::new())).collect(),
            queues: QueuesHandle::new(queues, &gates, part.publish_patience, shards),
            databases,
            rooms,
            main,
            floors: Floors::new(shards),
            time: Time { clock: clock.clone(), clock_offset },
            signals: Signals::new(shards),
            living: this_process(shards),
            following: Following::new(gates.count()),
            movement: MovementRate::default(),
            counts: Counts::new(shards, gates.count()),
            gates,
            layouts,
            lead: part.layout_lead,
        })
    }
}

/// This process, by a name that people can look for.
fn this_process(shards: u16) -> Living {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let name = format!("process {} on {host}", std::process::id());
    Living { holder: random_name(), name, shards }
}
