//! What a row is played on: every service on fresh data, and the load on each.

use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_core::{FailReason, ShardId, Timestamp};
use coupon_lab::wait::{at_once, joined};
use coupon_loadgen::http::{Target, post_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord, Outcome, Refusal, Unknown, run_load};
use coupon_service::api::GrabResponse;
use coupon_stack::Stack;
use coupon_store::servers::mysql::Database;
use coupon_store::servers::names::Namespace;
use coupon_strategies::REGISTER;
use serde_json::json;

use super::cast::{Cast, Set};
use super::casting::{Between, Casting};
use super::pressure::Pressure;
use super::process::TestedProcess;
use super::proof::Proof;
use super::proxy::Proxy;
use super::service::Subject;
use super::stage::Stage;

/// The clocks of the services show so long before midnight when they start.
const TO_MIDNIGHT: Duration = Duration::from_secs(12);
/// The load goes on for so long before the fault, and after it is lifted.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(3);

/// When the fault came, and when it was lifted: since the load began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    pub(super) fault: Option<Instant>,
    pub(super) lifted: Option<Instant>,
}

/// What came of a load, and of the fault in the middle of it.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) began: Instant,
    pub(super) proof: Proof,
}

/// Every service, and what was seen of them beside the load.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) stage: &'a Stage<'a>,
    pub(super) subjects: Vec<Subject>,
    /// The load on each of them.
    pub(super) pressures: Vec<Pressure>,
    moments: Mutex<Moments>,
    /// When midnight comes for the services, if it is set.
    midnight: Option<Instant>,
    /// Networks that can be broken.
    pub(super) proxies: Vec<Proxy>,
    /// Grabs beside the load: of which service, and how they ended.
    grabs: Mutex<Vec<(&'static str, GrabRecord)>>,
    /// What must stay until the row is over.
    props: Mutex<Vec<Box<dyn Prop + 'a>>>,
    /// What went otherwise than promised, beside what the audit finds.
    failures: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    /// Results that were contradicted on purpose: exactly so many must be parked, over all services.
    contradicted: Mutex<u64>,
    stop: Arc<AtomicBool>,
}

impl<'a> Scene<'a> {
    /// Seeds every service, and starts them.
    pub(super) fn set(stage: &'a Stage<'a>, casting: &Casting, folder: &Path) -> Result<Self> {
        let casts = REGISTER
            .of_each_program()
            .into_iter()
            .map(|family| (family.program.section(), family.name))
            .map(|(name, spec)| Cast::seeded(stage, casting, name, spec).context(name))
            .collect::<Result<Vec<_>>>()?;
        let clock = casting.at_midnight.then(until_midnight).transpose()?;
        let proxies = casting.between.proxies(stage)?;
        let environment = casting.between.environment(stage, &proxies)?;
        let set =
            Set { stage, casting, folder, clock: clock.map(|(offset, _)| offset), environment: &environment };
        let subjects: Vec<Subject> = at_once(casts, |cast| cast.start(&set))?;
        let mut scene = Self {
            stage,
            pressures: subjects.iter().map(|_| Pressure::default()).collect(),
            subjects,
            proxies,
            midnight: clock.map(|(_, midnight)| midnight),
            moments: Mutex::default(),
            failures: Mutex::default(),
            notes: Mutex::default(),
            contradicted: Mutex::default(),
            grabs: Mutex::default(),
            props: Mutex::default(),
            stop: Arc::default(),
        };
        if casting.between == Between::Clients {
            for subject in &mut scene.subjects {
                for process in &mut subject.processes {
                    let proxy = Proxy::start(process.address())?;
                    process.front = Some(proxy.address);
                    scene.proxies.push(proxy);
                }
            }
        }
        Ok(scene)
    }

    /// The servers.
    pub(super) fn stack(&self) -> Result<&'a Stack> {
        self.stage.site.stack().context("these servers are not this run's own")
    }

    /// A service's main database.
    pub(super) fn main(&self, subject: &Subject) -> Result<Database> {
        self.stage.main_of(&subject.namespace)
    }

    /// The database of a service's shard.
    pub(super) fn shard(&self, subject: &Subject, shard: ShardId) -> Result<Database> {
        let (namespace, urls) = (Namespace::new(&subject.namespace, "")?, &self.stage.site.settings().shards);
        let url = urls.get(shard.index()).context("there is no such shard")?;
        Database::new("servers.shards", url, &namespace.shard_database(shard), 1)
    }

    /// Every process of every service.
    pub(super) fn processes(&self) -> impl Iterator<Item = &TestedProcess> {
        self.subjects.iter().flat_map(|subject| &subject.processes)
    }

    /// The fault is there from now on.
    pub(super) fn begins(&self) {
        let mut moments = lock(&self.moments);
        if moments.fault.is_none() {
            moments.fault = Some(Instant::now());
            self.pressures.iter().for_each(Pressure::at_the_fault);
        }
    }

    /// The fault is over from now on.
    pub(super) fn lifted(&self) {
        lock(&self.moments).lifted = Some(Instant::now());
    }

    pub(super) fn moments(&self) -> Moments {
        *lock(&self.moments)
    }

    /// Notes something that is not as promised.
    pub(super) fn expect(&self, holds: bool, promised: impl Into<String>) {
        if !holds {
            lock(&self.failures).push(promised.into());
        }
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        lock(&self.notes).push(what.into());
    }

    pub(super) fn contradict(&self) {
        *lock(&self.contradicted) += 1;
    }

    pub(super) fn contradicted(&self) -> u64 {
        *lock(&self.contradicted)
    }

    pub(super) const fn midnight(&self) -> Option<Instant> {
        self.midnight
    }

    /// Keeps something until the row is over.
    pub(super) fn keep(&self, prop: impl Prop + 'a) {
        lock(&self.props).push(Box::new(prop));
    }

    /// Lets go of everything that was kept.
    pub(super) fn let_go(&self) {
        lock(&self.props).clear();
    }

    /// A grab beside the load; remembers how it ended.
    pub(super) fn grab(&self, service: &'static str, target: &Target, user_id: u64, coupon_id: u64) {
        let began = Instant::now();
        let body = json!({ "user_id": user_id, "coupon_id": coupon_id });
        let answer = post_json::<GrabResponse>(target, "/api/coupon/grab", &body);
        // An answer that is none, or that says nothing, leaves it open.
        let answer = answer.ok();
        let held = answer.as_ref().and_then(|answer| answer.result_id.as_ref()?.parse().ok());
        let outcome = answer.and_then(|answer| told(&answer)).unwrap_or(GrabOutcome::Unknown(Unknown::Cut));
        let (at, told_at) =
            (began.elapsed(), Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()));
        lock(&self.grabs).push((service, GrabRecord { user_id, coupon_id, outcome, at, held, told_at }));
    }

    /// The grabs of a service beside the load.
    pub(super) fn grabs_of(&self, service: &str) -> Vec<GrabRecord> {
        lock(&self.grabs).iter().filter(|(of, _)| *of == service).map(|(_, grab)| *grab).collect()
    }

    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        lock(&self.notes).clone()
    }

    /// Puts every service under load, and does `inject` in the middle of it. Returns when the load is over.
    pub(super) fn under_load(
        &self,
        casting: &Casting,
        inject: impl FnOnce() -> Result<Proof>,
    ) -> Result<Played> {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let (rate, seed) = (self.stage.terms.rate, self.stage.terms.seed);
            let loads: Vec<_> = self
                .pressures
                .iter()
                .zip(&self.subjects)
                .map(|(pressure, subject)| {
                    let (spec, granted) = pressure.load(casting, rate, seed, &self.stop);
                    scope.spawn(move || pressure.customers.follow(subject, granted, &self.stop));
                    scope.spawn(move || run_load(&subject.target(casting.load_on)?, &spec))
                })
                .collect();
            std::thread::sleep(BEFORE);
            for (pressure, subject) in self.pressures.iter().zip(&self.subjects) {
                pressure.look_at_batches(subject);
            }
            let injected = inject();
            if injected.is_ok() {
                std::thread::sleep(AFTER);
            }
            self.stop.store(true, Ordering::Relaxed);
            let outcomes: Result<Vec<Outcome>> = loads.into_iter().map(joined).collect();
            Ok(Played { proof: injected?, outcomes: outcomes?, began })
        })
    }

    /// Ends the services, and removes their data.
    pub(super) fn strike(self) -> Result<()> {
        for process in self.processes() {
            if process.is_paused() {
                process.resume()?;
            }
        }
        at_once(self.processes(), |process| process.stop())?;
        self.subjects
            .iter()
            .try_for_each(|subject| self.stage.site.wipe(&subject.namespace, &*subject.strategy))
    }
}

/// What a started grab was told, if that decides it.
fn told(answer: &GrabResponse) -> Option<GrabOutcome> {
    match (answer.grab_status, answer.fail_reason.as_deref()) {
        (1, _) => Some(GrabOutcome::Granted { result_id: answer.result_id.as_ref()?.parse().ok()? }),
        (_, Some("out_of_stock")) => Some(GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock))),
        (_, Some("duplicate")) => Some(GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate))),
        _ => None,
    }
}

/// How far the services' clocks are ahead, in milliseconds, and when midnight comes by them.
fn until_midnight() -> Result<(i64, Instant)> {
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let midnight = now.day().next().start();
    let lead = i64::try_from(TO_MIDNIGHT.as_millis())?;
    Ok((midnight.millis() - now.millis() - lead, Instant::now() + TO_MIDNIGHT))
}

/// What must stay until a row is over.
pub(super) trait Prop: Debug + Send {}
impl<T: Debug + Send> Prop for T {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
