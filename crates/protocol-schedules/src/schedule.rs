//! Plays a plan, and says what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponId, GrabTerms, Money, RoomId, ShardId};
use coupon_servers::seam::Terms;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::check::{ClearAnswer, Heard, broken};
use crate::inject::inject;
use crate::memory::State;
use crate::plan::{HEALED_MS, OFFERS, PROCESSES, SHARDS, SeededSchedule};
use crate::process::Running;
use crate::user::User;
use crate::world::{ProcessId, World};

/// The longest that everything may take to settle once every fault is over.
const SETTLED: Duration = Duration::from_secs(120);
/// The wait before a drain that failed is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// The outcome of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// The digest of its history.
    pub digest: u64,
    /// The events of its history.
    pub events: u64,
    /// Its history, if it was to be written down.
    pub history: Vec<String>,
    /// The promises that were broken.
    pub broken: Vec<String>,
    /// The grabs that got a clear answer.
    pub answered: usize,
}

/// The processes of a schedule.
pub(crate) struct Processes {
    world: Arc<World>,
    terms: Rc<[Terms]>,
    running: RefCell<BTreeMap<ProcessId, Rc<Running>>>,
}

impl Processes {
    fn new(world: &Arc<World>, terms: &Rc<[Terms]>) -> Self {
        Self { world: Arc::clone(world), terms: Rc::clone(terms), running: RefCell::default() }
    }

    pub(crate) fn start(&self, process: ProcessId) {
        let started = Running::start(&self.world, process, Rc::clone(&self.terms));
        let before = self.running.borrow_mut().insert(process, Rc::new(started));
        if let Some(before) = before {
            before.kill();
        }
    }

    pub(crate) fn kill(&self, process: ProcessId) {
        if let Some(running) = self.running.borrow_mut().remove(&process) {
            running.kill();
        }
    }

    pub(crate) fn set_wrong_by(&self, process: ProcessId, millis: i64) {
        if let Some(running) = self.get(process) {
            running.clock.set_wrong_by(millis);
        }
    }

    /// Says whether every process that runs has seen more of a shard than so many transactions.
    pub(crate) fn have_seen_more(&self, shard: ShardId, commits: u64) -> bool {
        self.running.borrow().values().all(|running| running.seen(shard) > commits)
    }

    pub(crate) fn get(&self, process: ProcessId) -> Option<Rc<Running>> {
        self.running.borrow().get(&process).map(Rc::clone)
    }
}

/// Plays a plan on one thread, in no time. Its history is written down, if that is asked for.
///
/// # Panics
/// When the system gives no runtime.
#[must_use]
pub fn play(plan: &SeededSchedule, written: bool) -> Played {
    #[expect(clippy::expect_used, reason = "without a runtime there is nothing to play on")]
    let runtime =
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("there is a runtime");
    LocalSet::new().block_on(&runtime, play_here(plan, written))
}

async fn play_here(plan: &SeededSchedule, written: bool) -> Played {
    let terms: Rc<[Terms]> = terms(plan).into();
    let world = World::new(plan.seed, State::new(SHARDS, plan.gates, &terms), written);
    let processes = Rc::new(Processes::new(&world, &terms));
    let heard: Rc<RefCell<Heard>> = Rc::default();
    for process in (0..PROCESSES).map(ProcessId) {
        processes.start(process);
    }
    for fault in &plan.faults {
        spawn_local(inject(Arc::clone(&world), Rc::clone(&processes), *fault));
    }
    let began = Instant::now();
    let users = plan.wishes.iter().map(|wish| {
        let user = User {
            world: Arc::clone(&world),
            processes: Rc::clone(&processes),
            terms: Rc::clone(&terms),
            heard: Rc::clone(&heard),
        };
        spawn_local(user.wishes(*wish, began))
    });
    let users: Vec<_> = users.collect();
    sleep_until(began + Duration::from_millis(HEALED_MS)).await;
    for user in users {
        let _ = user.await;
    }
    world.heal();
    world.tell(|| "every fault is over".to_owned());
    let settled = timeout(SETTLED, settle(&world, &processes)).await;
    let mut violations = broken(&world, plan, &terms, &heard.borrow());
    let answered = heard.borrow().told.len();
    if settled.is_err() {
        violations.insert(0, "everything settles: it did not within two minutes".to_owned());
    } else {
        let told = distinct(&heard.borrow().told);
        let user = User { world: Arc::clone(&world), processes, terms, heard };
        for told in &told {
            violations.extend(user.hears_otherwise(told).await);
        }
    }
    let (digest, events, history) = world.history();
    Played { digest, events, history, broken: violations, answered }
}

/// The answers that users got, each once.
fn distinct(told: &[ClearAnswer]) -> Vec<ClearAnswer> {
    let mut distinct: Vec<ClearAnswer> = Vec::new();
    for told in told {
        if !distinct.contains(told) {
            distinct.push(*told);
        }
    }
    distinct
}

/// Waits until everything that was handed over is stored, what is held has lapsed, and gate and main know of it.
async fn settle(world: &World, processes: &Processes) {
    drain(processes).await;
    while world.state().has_to_settle() {
        sleep(AGAIN).await;
    }
    drain(processes).await;
}

async fn drain(processes: &Processes) {
    for process in (0..PROCESSES).map(ProcessId) {
        loop {
            if let Some(running) = processes.get(process)
                && let Some(Ok(())) = running.drain().await
            {
                break;
            }
            sleep(AGAIN).await;
        }
    }
}

/// The coupons on offer.
fn terms(plan: &SeededSchedule) -> Vec<Terms> {
    let hours = |hours: i64| hours * 3_600_000;
    let now = World::beginning();
    let end = |number| plan.end_of(number).and_then(|at| i64::try_from(at).ok()).unwrap_or(hours(3));
    let coupon = |(number, (total, grab)): (u64, &(u32, GrabTerms))| {
        Some(Terms {
            coupon: CouponId::new(number).ok()?,
            room: RoomId::new(1).ok()?,
            total: *total,
            taken_back: 0,
            start: now.plus_millis(-hours(3)),
            end: now.plus_millis(end(number)),
            active: true,
            min_purchase: Money::default(),
            grab: *grab,
        })
    };
    (1..).zip(&OFFERS).filter_map(coupon).collect()
}
