//! Starts the tasks, keeps them alive, and brings them to their end.

use std::sync::Arc;
use std::time::Duration;

use coupon_store::ids::IdSource;
use coupon_store::pace::Spacing;
use tokio::task::JoinSet;

use super::apply::Applier;
use super::background::Background;
use super::clock::keep_comparing;
use super::consume::Consumer;
use super::expire::{self, Sweeper};
use super::gatekeeper::Gatekeeper;
use super::lease::Leases;
use super::let_go::LetGo;
use super::movement::RowMover;
use super::reconcile::Reconciler;
use super::watch::watch;
use crate::process::ProcessPart;

/// The longest that the tasks may take to end.
const END: Duration = Duration::from_secs(15);
/// The wait before a task that panicked is started again.
const AGAIN: Duration = Duration::from_secs(1);
/// The time between two looks whether the process stops.
const LOOK: Duration = Duration::from_millis(50);

/// Everything that runs beside the HTTP workers.
pub(crate) struct Crew {
    background: Arc<Background>,
    leases: Arc<Leases>,
    /// The tasks that change what is stored.
    consumers: JoinSet<()>,
    applier: JoinSet<()>,
    /// The tasks that have nothing to bring to an end.
    others: JoinSet<()>,
}

impl Crew {
    /// Starts every task; what is left are the ids of the HTTP workers.
    pub(crate) fn start(background: &Arc<Background>, leases: Leases, part: ProcessPart) -> (Self, IdSource) {
        let leased = Arc::clone(&leases.leased);
        let mut crew = Self {
            background: Arc::clone(background),
            leases: Arc::new(leases),
            consumers: JoinSet::new(),
            applier: JoinSet::new(),
            others: JoinSet::new(),
        };
        let leases = Arc::clone(&crew.leases);
        crew.others.spawn(lasting(Arc::clone(background), "lease", move |_| Arc::clone(&leases).keep()));
        let numbers = Arc::clone(&leased);
        crew.others.spawn(lasting(Arc::clone(background), "clock", move |background| {
            keep_comparing(background, Arc::clone(&numbers))
        }));
        for gate in background.gates.count().all() {
            crew.others.spawn(lasting(Arc::clone(background), "gatekeeper", move |background| {
                Gatekeeper::new(background, gate).run()
            }));
        }
        crew.others.spawn(lasting(Arc::clone(background), "catalogue", Background::follow_the_catalogue));
        for shard in background.shards() {
            crew.others
                .spawn(lasting(Arc::clone(background), "watch", move |background| watch(background, shard)));
        }
        if part.role.consumes() {
            crew.start_to_consume(part);
        }
        (crew, IdSource::Leased(leased))
    }

    fn start_to_consume(&mut self, part: ProcessPart) {
        let pace = Arc::new(Spacing::new(expire::PACE));
        for shard in self.background.shards() {
            let task = lasting(Arc::clone(&self.background), "consumer", move |background| {
                Consumer::new(background, shard).run()
            });
            self.consumers.spawn(task);
            let pace = Arc::clone(&pace);
            let task = lasting(Arc::clone(&self.background), "sweeper", move |background| {
                Sweeper::new(background, Arc::clone(&pace), shard).run()
            });
            self.consumers.spawn(task);
            let task = lasting(Arc::clone(&self.background), "let_go", move |background| {
                LetGo::new(background, shard).run()
            });
            self.consumers.spawn(task);
        }
        let task =
            lasting(Arc::clone(&self.background), "applier", |background| Applier::new(background).run());
        self.applier.spawn(task);
        // What it had under way when it ends is taken up by the next.
        let task =
            lasting(Arc::clone(&self.background), "mover", |background| RowMover::new(background).run());
        self.others.spawn(task);
        self.others.spawn(lasting(Arc::clone(&self.background), "room index", Background::keep_rooms_up));
        let every = part.reconcile_every;
        // Twice what a hand-over may take.
        let grace = part.publish_patience * 2;
        for gate in self.background.gates.count().all() {
            let task = lasting(Arc::clone(&self.background), "reconciler", move |background| {
                Reconciler::new(background, gate, every, grace).run()
            });
            self.others.spawn(task);
        }
    }

    /// Runs until the process stops.
    pub(crate) async fn run(mut self) {
        while !self.background.signals.stopping() {
            tokio::time::sleep(LOOK).await;
        }
        // What is being stored is brought to its end; what waits in the queues is safe there.
        ended(&mut self.consumers).await;
        self.background.signals.consumers_ended();
        ended(&mut self.applier).await;
        self.others.shutdown().await;
        let Background { main, living, .. } = &*self.background;
        let (ended, given_back) = tokio::join!(main.ended(living), self.leases.give_back());
        if let Err(error) = ended {
            tracing::warn!(%error, "changes of the catalogue wait for this process a few seconds more");
        }
        if let Err(error) = given_back {
            tracing::warn!(
                error = format!("{error:#}"),
                "worker numbers are not given back; their lease ends by itself"
            );
        }
    }
}

/// A task that is started again should it panic: a mistake in one round must not end it for good.
async fn lasting<F>(background: Arc<Background>, what: &'static str, start: impl Fn(Arc<Background>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Dropping this future ends the task within.
        let mut one = JoinSet::new();
        one.spawn(start(Arc::clone(&background)));
        match one.join_next().await {
            Some(Err(error)) if error.is_panic() && !background.signals.stopping() => {
                tracing::error!(what, %error, "a task panicked; it is started again");
                tokio::time::sleep(AGAIN).await;
            }
            _ => return,
        }
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(END, all).await.is_err() {
        tracing::warn!("a task did not end in time");
        tasks.shutdown().await;
    }
}
