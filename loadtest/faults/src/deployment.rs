//! The deployment that a fault is injected into: every service on fresh data, and the load on each.

use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_core::ShardId;
use coupon_lab::wait::at_once;
use coupon_loadgen::load::{Outcome, run_load};
use coupon_servers::mysql::Database;
use coupon_servers::names::Namespace;
use coupon_stack::Stack;
use coupon_strategies::REGISTER;

use super::cases::FaultCase;
use super::context::{CaseContext, now};
use super::load::ServiceLoad;
use super::plan::{DeploymentPlan, Proxied, TO_MIDNIGHT};
use super::process::TestedProcess;
use super::proof::Proof;
use super::proxy::FaultProxy;
use super::record::CaseRecord;
use super::service::TestedService;
use super::start::{SeededService, StartSettings};

/// The time of load before the fault, and after it is lifted.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(3);

/// The result of a load, and of the fault in the middle of it.
#[derive(Debug)]
pub(super) struct LoadResult {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) began: Instant,
    pub(super) proof: Proof,
}

/// Every service, and the record of the case that it is deployed for.
#[derive(Debug)]
pub(super) struct CaseDeployment<'a> {
    pub(super) context: &'a CaseContext<'a>,
    pub(super) services: Vec<TestedService>,
    /// The load on each of them.
    pub(super) loads: Vec<ServiceLoad>,
    /// Networks that can be broken.
    pub(super) proxies: Vec<FaultProxy>,
    /// The moment at which midnight comes by the services' clocks, if they are set.
    pub(super) midnight: Option<Instant>,
    pub(super) record: CaseRecord,
    /// Everything that must stay until the case is over.
    kept: Mutex<Vec<Box<dyn KeptUntilEnd + 'a>>>,
    stop: Arc<AtomicBool>,
}

impl<'a> CaseDeployment<'a> {
    /// Seeds every service, and starts them.
    pub(super) fn start(context: &'a CaseContext<'a>, case: &FaultCase, folder: &Path) -> Result<Self> {
        let plan = &case.plan;
        let families = REGISTER.of_each_program().into_iter();
        let seeded = families
            .map(|family| (family.program.section(), family.name))
            .map(|(name, spec)| SeededService::seed(context, case, name, spec).context(name))
            .collect::<Result<Vec<_>>>()?;
        let clock = plan.clock(now());
        let midnight = clock.map(|_| Instant::now() + TO_MIDNIGHT);
        let mut proxies = plan.proxied.proxies(context)?;
        let environment = plan.proxied.environment(context, &proxies)?;
        let settings = StartSettings { context, case, folder, clock, environment: &environment };
        let mut services = at_once(seeded, |service| service.start(&settings))?;
        if plan.proxied == Proxied::Clients {
            for process in services.iter_mut().flat_map(|service| &mut service.processes) {
                let proxy = FaultProxy::start(process.address())?;
                process.front = Some(proxy.address);
                proxies.push(proxy);
            }
        }
        Ok(Self {
            context,
            loads: services.iter().map(|_| ServiceLoad::default()).collect(),
            services,
            proxies,
            midnight,
            record: CaseRecord::default(),
            kept: Mutex::default(),
            stop: Arc::default(),
        })
    }

    /// The servers.
    pub(super) fn stack(&self) -> Result<&'a Stack> {
        self.context.stack()
    }

    /// A service's main database.
    pub(super) fn main(&self, service: &TestedService) -> Result<Database> {
        self.context.main_of(&service.namespace)
    }

    /// The database of a service's shard.
    pub(super) fn shard(&self, service: &TestedService, shard: ShardId) -> Result<Database> {
        let (namespace, urls) =
            (Namespace::new(&service.namespace, "")?, &self.context.site.settings().shards);
        let url = urls.get(shard.index()).context("there is no such shard")?;
        Database::new("servers.shards", url, &namespace.shard_database(shard), 1)
    }

    /// Every process of every service.
    pub(super) fn processes(&self) -> impl Iterator<Item = &TestedProcess> {
        self.services.iter().flat_map(|service| &service.processes)
    }

    /// The fault is there from now on.
    pub(super) fn fault_begins(&self) {
        if self.record.fault_begins() {
            self.loads.iter().for_each(ServiceLoad::fault_begins);
        }
    }

    /// The fault is over from now on.
    pub(super) fn fault_ends(&self) {
        self.record.fault_ends();
    }

    /// Keeps something until the case is over.
    pub(super) fn keep(&self, kept: impl KeptUntilEnd + 'a) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(kept));
    }

    /// Drops everything that was kept.
    pub(super) fn drop_kept(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Puts every service under load, and does `inject` in the middle of it. Returns when the load is over.
    pub(super) fn under_load(
        &self,
        plan: &DeploymentPlan,
        inject: impl FnOnce() -> Result<Proof>,
    ) -> Result<LoadResult> {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let options = self.context.options;
            let running: Vec<_> = self
                .loads
                .iter()
                .zip(&self.services)
                .map(|(load, service)| {
                    let (spec, granted) = load.spec(options.rate, options.seed, &self.stop);
                    scope.spawn(move || load.customers.follow(service, granted, &self.stop));
                    scope.spawn(move || run_load(&service.load_target(plan.load_on)?, &spec))
                })
                .collect();
            std::thread::sleep(BEFORE);
            for (load, service) in self.loads.iter().zip(&self.services) {
                load.look_at_batches(service);
            }
            let injected = inject();
            if injected.is_ok() {
                std::thread::sleep(AFTER);
            }
            self.stop.store(true, Ordering::Relaxed);
            let outcomes: Result<Vec<Outcome>> = running.into_iter().map(coupon_stack::joined).collect();
            Ok(LoadResult { proof: injected?, outcomes: outcomes?, began })
        })
    }

    /// Ends the services, and removes their data.
    pub(super) fn stop(self) -> Result<()> {
        for process in self.processes() {
            if process.is_paused() {
                process.resume()?;
            }
        }
        at_once(self.processes(), |process| process.stop())?;
        self.services
            .iter()
            .try_for_each(|service| self.context.site.wipe(&service.namespace, &*service.strategy))
    }
}

/// Something that must stay until a case is over, and is put right when it is dropped.
pub(super) trait KeptUntilEnd: Debug + Send {}
impl<T: Debug + Send> KeptUntilEnd for T {}
